"""Intersection over union on a labelled split, at the labels' own size (Eq. 7).

One confusion matrix over the 19 classes serves every figure: mIoU over 19, 16 or 13 classes, and
mIoU* (13 of a model of 16). A figure depends on two conventions, and the public codes differ:

- A class that is neither labelled nor predicted: left out of the mean (`miou`, as Cityscapes' own
  evaluator, ADVENT and BDL do), or counted as 0 (`miou_absent_as_zero`, as ASANet does).
- Labelled pixels of classes that the model does not know, such as trains for one of 16: what it
  predicts there is wrong (`miou`, as ASANet does), or the pixels are left out
  (`miou_without_others`, as MaxSquare and CBST do).
"""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import nn

from fundus_uda.engine.errors import InputError
from fundus_uda.engine.runlog import require_empty
from roadscene.classes import CLASSES, IGNORE, class_table
from roadscene.data import Frame, load_frames, require_labels
from roadscene.model import load_model
from roadscene.prediction import predictions, write_colours, write_label_ids
from roadscene.settings import RoadSettings

Confusion = NDArray[np.int64]
"""(19, 19): labelled class by predicted class, in pixels."""


def evaluate(
    network: nn.Module,
    settings: RoadSettings,
    frames: list[Frame],
    device: torch.device,
    pictures: Path | None = None,
) -> Confusion:
    """The confusion matrix of a network over labelled frames.

    Args:
        network: of `load_model` or in training.
        settings: its settings.
        frames: with labels.
        device: of the network.
        pictures: a folder to write to, or None: `colour/<id>.png` for the eye, and
            `export/<id>.png` with label ids and nothing else, as Cityscapes' evaluator wants.

    Raises:
        InputError: an unreadable image or label, or no labelled pixel at all.
    """
    confusion = np.zeros((len(CLASSES), len(CLASSES)), np.int64)
    for prediction in predictions(network, settings, frames, device):
        assert prediction.label is not None
        confusion += confusion_matrix(prediction.label, prediction.predicted)
        if pictures is not None:
            name = f"{prediction.frame.id}.png"
            write_colours(prediction.predicted, pictures / "colour" / name)
            write_label_ids(prediction.predicted, pictures / "export" / name)
    if not confusion.any():
        raise InputError(
            f"Expected labelled pixels in {len(frames)} labels. Got: none, as in a test split "
            f"without public labels; the first is {frames[0].label}."
        )
    return confusion


def confusion_matrix(label: NDArray[np.uint8], predicted: NDArray[np.uint8]) -> Confusion:
    """Pixels by labelled class (rows) and predicted class (columns), without `IGNORE` labels.

    Args:
        label: (H, W) indices of the 19 classes, or `IGNORE`.
        predicted: (H, W) indices of the 19 classes.
    """
    counted, n = label != IGNORE, len(CLASSES)
    pairs = label[counted].astype(np.int64) * n + predicted[counted]
    return np.bincount(pairs, minlength=n * n).reshape(n, n)


def iou(confusion: Confusion) -> NDArray[np.float64]:
    """Eq. 7 for each of the 19 classes, in [0, 1]; NaN for one neither labelled nor predicted."""
    true = np.diag(confusion)
    union = confusion.sum(axis=0) + confusion.sum(axis=1) - true
    result: NDArray[np.float64] = np.full(len(true), np.nan)
    np.divide(true, union, out=result, where=union > 0)
    return result


def iou_table(confusion: Confusion, classes: int) -> pd.DataFrame:
    """One row for each of a model's 19, 16 or 13 classes.

    Returns:
        Columns class, smallest_table, iou (NaN if absent), iou_without_others, labelled_pixels
        and predicted_pixels; the module says what the two kinds are.
    """
    known = [index for index, c in enumerate(CLASSES) if c.smallest <= classes]
    without_others = np.zeros_like(confusion)
    without_others[known] = confusion[known]
    table = class_table(classes)
    return pd.DataFrame(
        {
            "class": [c.name for c in table],
            "smallest_table": [c.smallest for c in table],
            "iou": iou(confusion)[known],
            "iou_without_others": iou(without_others)[known],
            "labelled_pixels": confusion.sum(axis=1)[known],
            "predicted_pixels": confusion.sum(axis=0)[known],
        }
    )


def mean_iou(table: pd.DataFrame, classes: int) -> dict[str, float]:
    """Means over the 19, 16 or 13 classes of a table of `iou_table`: see the module."""
    rows = table[table["smallest_table"] <= classes]
    return {
        "miou": float(rows["iou"].mean()),
        "miou_absent_as_zero": float(rows["iou"].fillna(0).mean()),
        "miou_without_others": float(rows["iou_without_others"].mean()),
    }


def write_evaluation(
    confusion: Confusion, classes: int, out: Path, about: dict[str, Any]
) -> dict[str, Any]:
    """Write `iou.csv` and `summary.json` into a folder, made if need be.

    Args:
        confusion: of `evaluate`.
        classes: of the model: 19, 16 or 13.
        out: the folder.
        about: what else the summary should say: method, seed, data.

    Returns:
        The summary: under "19", "16" and "13", as far as the model has them, the dictionary of
        `mean_iou`; `classes`, `absent`, `labelled_pixels`; and `about`.
    """
    table = iou_table(confusion, classes)
    summary: dict[str, Any] = {
        str(count): mean_iou(table, count) for count in (19, 16, 13) if count <= classes
    }
    summary["classes"] = classes
    summary["absent"] = table.loc[table["iou"].isna(), "class"].tolist()
    summary["labelled_pixels"] = int(confusion.sum())
    summary |= about
    out.mkdir(parents=True, exist_ok=True)
    table.to_csv(out / "iou.csv", index=False)
    (out / "summary.json").write_text(json.dumps(summary, indent=2) + "\n", encoding="utf-8")
    return summary


def evaluate_model(
    model: Path,
    address: str,
    out: Path,
    device: torch.device,
    published: RoadSettings | None = None,
) -> str:
    """Score a run, a checkpoint or, with settings, a published checkpoint on a labelled split.

    Writes `iou.csv`, `summary.json`, `colour/` and `export/` to `out`.

    Returns:
        What was loaded from a published checkpoint, or "".

    Raises:
        InputError: wrong model, data or settings.
    """
    require_empty(out)
    frames = require_labels(load_frames(address), address)
    loaded = load_model(model, device, published)
    settings = loaded.settings
    confusion = evaluate(loaded.network, settings, frames, device, out)
    about = {
        "method": settings.method,
        "seed": None if published else settings.seed,
        "step": loaded.step,
        "model": str(model),
        "checkpoint": "last" if model.is_dir() else model.stem,
        "images": len(frames),
        "data": address,
    }
    write_evaluation(confusion, settings.data.classes, out, about)
    return str(loaded.report or "")
