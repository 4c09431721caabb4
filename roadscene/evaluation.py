"""Intersection over union on a labelled split, at the labels' own size (Eq. 7).

One confusion matrix over the 19 classes serves every score: mIoU over 19, 16 or 13 classes, and
mIoU* (13 classes of a model of 16). Scores depend on two conventions, in which public codes differ:

- A class that is neither labelled nor predicted is left out of the mean (`miou`, as in Cityscapes'
  own evaluator, ADVENT and BDL) or counts as 0 (`miou_absent_as_zero`, as in ASANet).
- Labelled pixels of classes that the model does not have, such as trains for a model of 16, count
  as wrong predictions (`miou`, as in ASANet) or are left out (`miou_without_others`, as in
  MaxSquare and CBST).
"""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from fundus_uda.engine.settings import CheckpointName
from fundus_uda.errors import InputError
from fundus_uda.files import write_table, write_whole
from fundus_uda.unfinished import require_replaceable, rewritten
from roadscene.classes import CLASSES, IGNORE, class_table
from roadscene.data import Frame, load_frames, require_labels
from roadscene.model import Model, load_model
from roadscene.prediction import predictions, write_colours, write_label_ids
from roadscene.settings import RoadSettings

Confusion = NDArray[np.int64]
"""Number of pixels by labelled and predicted class, (19, 19)."""


def evaluate(model: Model, frames: list[Frame], pictures: Path | None = None) -> Confusion:
    """Count the confusion matrix of a model over labelled frames.

    Args:
        model: trained or in training.
        frames: labelled frames.
        pictures: folder to write to, or None. It gets `colour/<id>.png` to look at and
            `export/<id>.png` with label ids, in a folder of its own for Cityscapes' evaluator.

    Raises:
        InputError: an unreadable image or label, or no labelled pixel at all.
    """
    confusion = np.zeros((len(CLASSES), len(CLASSES)), np.int64)
    for prediction in predictions(model, frames):
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
    """Count pixels by labelled class (rows) and predicted class (columns), except `IGNORE` labels.

    Args:
        label: (H, W) indices of the 19 classes, or `IGNORE`.
        predicted: (H, W) indices of the 19 classes.
    """
    counted, n = label != IGNORE, len(CLASSES)
    pairs = label[counted].astype(np.int64) * n + predicted[counted]
    return np.bincount(pairs, minlength=n * n).reshape(n, n)


def iou(confusion: Confusion) -> NDArray[np.float64]:
    """Compute Eq. 7 per class, (19,) in [0, 1]; NaN for one neither labelled nor predicted."""
    true = np.diag(confusion)
    union = confusion.sum(axis=0) + confusion.sum(axis=1) - true
    result: NDArray[np.float64] = np.full(len(true), np.nan)
    np.divide(true, union, out=result, where=union > 0)
    return result


def iou_table(confusion: Confusion, classes: int) -> pd.DataFrame:
    """Tabulate IoU, one row for each of a model's 19, 16 or 13 classes.

    Returns:
        Columns class, smallest_table, iou (NaN if absent), iou_without_others, labelled_pixels
        and predicted_pixels; see the module for the two kinds of IoU.
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
    """Average IoU over the 19, 16 or 13 classes of a table of `iou_table` (see the module)."""
    rows = table[table["smallest_table"] <= classes]
    return {
        "miou": float(rows["iou"].mean()),
        "miou_absent_as_zero": float(rows["iou"].fillna(0).mean()),
        "miou_without_others": float(rows["iou_without_others"].mean()),
    }


def write_evaluation(
    confusion: Confusion, classes: int, out: Path, about: dict[str, Any]
) -> dict[str, Any]:
    """Write `iou.csv` and `summary.json` into a folder, which is created if needed.

    Args:
        confusion: confusion matrix from `evaluate`.
        classes: number of classes of the model: 19, 16 or 13.
        out: folder to write to.
        about: further entries of the summary, such as method, seed and data.

    Returns:
        The summary: the dictionaries of `mean_iou` under "19", "16" and "13", as far as the model
        has them; `classes`, `absent`, `labelled_pixels`; and the entries of `about`.
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
    write_table(out / "iou.csv", table)
    write_whole(out / "summary.json", json.dumps(summary, indent=2) + "\n")
    return summary


def evaluate_model(
    path: Path,
    uri: str,
    out: Path,
    device: torch.device,
    published: RoadSettings | None = None,
    which: CheckpointName = "last",
    overwrite: bool = False,
) -> str:
    """Score a run, a checkpoint or, with settings, a published checkpoint on a labelled split.

    Writes `iou.csv`, `summary.json`, `colour/` and `export/` to `out`, which is new or empty, or
    with `overwrite` may hold earlier ones (see `unfinished.require_replaceable`).

    Returns:
        Report on what was loaded from a published checkpoint; "" for a run of this program.

    Raises:
        InputError: wrong model, data or settings.
    """
    require_replaceable(out, "evaluate", overwrite)
    frames = require_labels(load_frames(uri), uri)
    model = load_model(path, device, published, which)
    told = about(model, uri, frames) | ({"seed": None} if published else {})
    told |= {"model": str(path), "checkpoint": which if path.is_dir() else path.stem}
    with rewritten(out, "evaluate"):
        confusion = evaluate(model, frames, out)
        write_evaluation(confusion, model.settings.data.classes, out, told)
    return str(model.report or "")


def about(model: Model, uri: str | None, frames: list[Frame]) -> dict[str, Any]:
    """Describe a model and the data it is scored on, for a summary."""
    settings = model.settings
    return {
        "method": settings.method,
        "seed": settings.seed,
        "step": model.step,
        "images": len(frames),
        "data": uri,
    }
