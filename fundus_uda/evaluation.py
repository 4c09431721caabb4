"""A model over a labelled split: Dice per image at the original size, and its summary."""

import json
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from scipy.stats import spearmanr
from torch import nn

from fundus_uda.anatomy import without_specks
from fundus_uda.clinic.measurements import measure, vertical_cup_to_disc_ratio
from fundus_uda.clinic.trust import flags_of, trust
from fundus_uda.data.datasets import load_samples
from fundus_uda.data.masks import BACKGROUND, CUP, read_mask
from fundus_uda.data.samples import Sample, require_masks
from fundus_uda.data.transforms import require_same_size
from fundus_uda.engine.checkpoint import fingerprint
from fundus_uda.engine.runlog import require_empty
from fundus_uda.metrics import DICE, dice_cup_disc, summarise
from fundus_uda.model import load_model
from fundus_uda.prediction import predictions
from fundus_uda.settings import FundusSettings

LOW_DICE = 0.8
"""Of `dice_mean`; what the flags should catch."""


def evaluate(
    segmenter: nn.Module, settings: FundusSettings, samples: list[Sample], device: torch.device
) -> pd.DataFrame:
    """One row per image.

    Args:
        segmenter: of `load_model` or in training.
        settings: its settings.
        samples: with masks.
        device: of the segmenter.

    Returns:
        Columns image, dice_cup, dice_disc, dice_mean (of the two), vertical_cdr,
        vertical_cdr_reference (NaN without a disc), cup_area, cup_area_reference, disc_area,
        disc_area_reference (shares of the image, in [0, 1]), the keys of `trust.trust`, and flags,
        the names of `trust.FLAGS` that are raised.

    Raises:
        InputError: an unreadable photograph or mask, or one of another size.
    """
    rows = []
    for sample, photograph, prediction in predictions(segmenter, settings, samples, device):
        reference, _ = read_mask(sample)
        require_same_size(torch.from_numpy(photograph).permute(2, 0, 1), reference.shape, sample)
        cup, disc = dice_cup_disc(prediction.mask, reference)
        cleaned = without_specks(prediction.mask)  # what `predict` judges
        trusted = trust(photograph, cleaned, prediction)
        flags = flags_of(measure(cleaned) | trusted)
        rows.append(
            {
                "image": sample.id,
                "dice_cup": cup,
                "dice_disc": disc,
                "dice_mean": (cup + disc) / 2,
                "vertical_cdr": vertical_cup_to_disc_ratio(prediction.mask),
                "vertical_cdr_reference": vertical_cup_to_disc_ratio(reference),
                "cup_area": float((prediction.mask == CUP).mean()),
                "cup_area_reference": float((reference == CUP).mean()),
                "disc_area": float((prediction.mask != BACKGROUND).mean()),
                "disc_area_reference": float((reference != BACKGROUND).mean()),
                **trusted,
                "flags": " ".join(flags),
            }
        )
    return pd.DataFrame(rows)


def evaluate_model(
    model: Path, address: str, annotation: str | None, out: Path, device: torch.device
) -> dict[str, Any]:
    """Score a run folder or a checkpoint file on a labelled split, into a folder.

    Returns:
        The summary (see `write_evaluation`).

    Raises:
        InputError: see `load_model`, `load_samples` and `evaluate`.
    """
    require_empty(out)
    samples = require_masks(load_samples(address, annotation), address)
    loaded = load_model(model, device)
    table = evaluate(loaded.segmenter, loaded.settings, samples, device)
    about = {
        "method": loaded.settings.method,
        "seed": loaded.settings.seed,
        "step": loaded.step,
        "model": str(model),
        "checkpoint": "last" if model.is_dir() else model.stem,
        "data": address,
        "annotation": annotation,
        "goes_on": loaded.settings.start is not None,
        "augmentation": loaded.settings.data.augmentation,
    }
    return write_evaluation(table, out, about)


def write_evaluation(table: pd.DataFrame, out: Path, about: dict[str, Any]) -> dict[str, Any]:
    """Write `dice.csv` and `summary.json` into a folder, made if need be.

    Args:
        table: of `evaluate`.
        out: the folder.
        about: what else the summary should say: method, seed, data.

    Returns:
        The summary: `dice_cup`, `dice_disc` and `dice_mean`, each with mean, std, ci95 and n;
        `vertical_cdr_error`, the mean absolute error over the images with both;
        `cup_area_ratio` and `disc_area_ratio`, all predicted pixels over all reference pixels
        (below 1: too small; None without a reference); `trust` (see `trust_summary`); `images`,
        a fingerprint of their names and references; and `about`.
    """
    errors = (table["vertical_cdr"] - table["vertical_cdr_reference"]).abs()
    summary: dict[str, Any] = {name: summarise(table[name].to_numpy()) for name in DICE}
    scored_on = table[["image", "cup_area_reference", "disc_area_reference"]]
    summary["images"] = fingerprint(scored_on.values.tolist())
    summary["vertical_cdr_error"] = None if errors.isna().all() else float(errors.mean())
    for structure in ("cup", "disc"):
        reference = table[f"{structure}_area_reference"].mean()
        ratio = table[f"{structure}_area"].mean() / reference if reference else None
        summary[f"{structure}_area_ratio"] = ratio
    summary["trust"] = trust_summary(table)
    summary |= about
    out.mkdir(parents=True, exist_ok=True)
    table.to_csv(out / "dice.csv", index=False)
    (out / "summary.json").write_text(json.dumps(summary, indent=2) + "\n", encoding="utf-8")
    return summary


def trust_summary(table: pd.DataFrame) -> dict[str, float | int | None]:
    """How well the images are judged without their masks.

    Args:
        table: of `evaluate`.

    Returns:
        `estimated_dice`, its mean over the set; `spearman`, of it and `dice_mean` over the images
        (None where one is constant); `low`, how many images have a `dice_mean` below 0.8;
        `recall`, the share of those with a flag, and `false_alarms`, the share of the others
        (None without any).
    """
    low, flagged = table["dice_mean"] < LOW_DICE, table["flags"] != ""
    varies = table["dice_mean"].nunique() > 1 and table["estimated_dice"].nunique() > 1
    order = spearmanr(table["estimated_dice"], table["dice_mean"]).statistic if varies else None
    return {
        "estimated_dice": float(table["estimated_dice"].mean()),
        "spearman": None if order is None else float(order),
        "low": int(low.sum()),
        "recall": float(flagged[low].mean()) if low.any() else None,
        "false_alarms": float(flagged[~low].mean()) if not low.all() else None,
    }
