"""Evaluation on a labelled split: Dice per image at the original size, and its summary."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from scipy.stats import spearmanr

from fundus_uda.data.inspection import load_labelled
from fundus_uda.data.photograph_files import read_sample
from fundus_uda.data.samples import Sample
from fundus_uda.engine.fingerprint import fingerprint
from fundus_uda.engine.settings import CheckpointName
from fundus_uda.files import write_table, write_whole
from fundus_uda.masks.classes import BACKGROUND, CUP
from fundus_uda.masks.dice import DICE, dice_cup_disc, summarise
from fundus_uda.masks.measurements import (
    measure,
    refuge_ratio_error,
    refuge_vertical_cup_to_disc_ratio,
    vertical_cup_to_disc_ratio,
)
from fundus_uda.masks.postprocess import remove_small_components
from fundus_uda.output import progress
from fundus_uda.segmentation.model import Model, load_model
from fundus_uda.segmentation.prediction import outline
from fundus_uda.segmentation.quality import flags_of, quality
from fundus_uda.segmentation.readers import (
    agreement_of_ratios,
    disagreement_of_readers,
    seen_in_training,
)
from fundus_uda.segmentation.settings import DataSettings
from fundus_uda.unfinished import require_replaceable, rewritten

OF_THE_CUP = (
    "dice_cup",
    "dice_mean",
    "vertical_cdr_reference",
    "vertical_cdr_refuge_reference",
    "cup_area_reference",
)
"""Columns that need an annotated cup."""
LOW_DICE = 0.8
"""Limit of `dice_mean` below which the flags should catch an image."""


def evaluate(model: Model, samples: list[Sample]) -> pd.DataFrame:
    """Score a model on labelled photographs, one row per image.

    Args:
        model: trained model, or one in training.
        samples: photographs with masks.

    Returns:
        Columns image, dice_cup, dice_disc, dice_mean (mean of the two), vertical_cdr,
        vertical_cdr_reference (NaN without a disc), the same two with `_refuge` (as the challenge
        counts), cup_area, cup_area_reference, disc_area,
        disc_area_reference (shares of the image, in [0, 1]), the keys of `quality.quality`, and
        flags, the names of `quality.FLAGS` that are raised, separated by spaces. In a set without a
        single cup, only the discs were annotated: the columns `OF_THE_CUP` are NaN.

    Raises:
        InputError: an unreadable photograph or mask, or a mask of another size.
    """
    rows = []
    for sample in progress(samples, "scored", len(samples)):
        item = read_sample(sample)
        photograph, reference = item["image"].permute(1, 2, 0).numpy(), item["label"][0].numpy()
        prediction = outline(model, photograph)
        cup, disc = dice_cup_disc(prediction.mask, reference)
        cleaned = remove_small_components(prediction.mask)  # as `predict` does first
        judged = quality(photograph, cleaned, prediction)
        flags = flags_of(measure(cleaned) | judged)
        rows.append(
            {
                "image": sample.id,
                "dice_cup": cup,
                "dice_disc": disc,
                "dice_mean": (cup + disc) / 2,
                "vertical_cdr": vertical_cup_to_disc_ratio(prediction.mask),
                "vertical_cdr_reference": vertical_cup_to_disc_ratio(reference),
                "vertical_cdr_refuge": refuge_vertical_cup_to_disc_ratio(prediction.mask),
                "vertical_cdr_refuge_reference": refuge_vertical_cup_to_disc_ratio(reference),
                "cup_area": float((prediction.mask == CUP).mean()),
                "cup_area_reference": float((reference == CUP).mean()),
                "disc_area": float((prediction.mask != BACKGROUND).mean()),
                "disc_area_reference": float((reference != BACKGROUND).mean()),
                **judged,
                "flags": " ".join(flags),
            }
        )
    table = pd.DataFrame(rows)
    if not (table["cup_area_reference"] > 0).any():
        table[list(OF_THE_CUP)] = np.nan
    return table


def evaluate_model(
    path: Path,
    uri: str,
    annotation: str | None,
    out: Path,
    device: torch.device,
    which: CheckpointName = "last",
    overwrite: bool = False,
) -> dict[str, Any]:
    """Score a run folder or a checkpoint file on a labelled split, and write the scores.

    Args:
        path: run folder, or checkpoint file.
        uri: data URI of the split.
        annotation: annotation whose masks are used; None for the default.
        out: new or empty folder.
        device: where to predict.
        which: checkpoint of a run folder.
        overwrite: whether `out` may hold earlier scores, which are replaced (see
            `unfinished.require_replaceable`).

    Returns:
        The summary (see `write_evaluation`), with `readers`, what `disagreement_of_readers`
        returns, and `seen_in_training`.

    Raises:
        InputError: see `load_model`, `load_labelled` and `evaluate`.
    """
    require_replaceable(out, "evaluate", overwrite)
    samples = load_labelled(uri, annotation)
    model = load_model(path, device, which)
    named = {"model": str(path), "checkpoint": which if path.is_dir() else path.stem}
    table = evaluate(model, samples)
    beside = {
        "readers": disagreement_of_readers(uri),
        "seen_in_training": seen_in_training(path, which, samples),
    }
    told = about(model, samples, uri, annotation) | named | beside
    with rewritten(out, "evaluate"):
        return write_evaluation(table, out, told)


def about(
    model: Model, samples: list[Sample], uri: str | None, annotation: str | None
) -> dict[str, Any]:
    """Describe a model and what it is scored on, for a summary."""
    settings = model.settings
    return {
        "method": settings.method,
        "seed": settings.seed,
        "step": model.step,
        "data": uri,
        "annotation": annotation,
        "cropped_by_masks": any(sample.around_disc for sample in samples),
        "goes_on": settings.start is not None,
        "augmentation": settings.data.augmentation,
        "source_sizes": settings.data.source_sizes,
    }


def write_scores(
    model: Model, samples: list[Sample], data: DataSettings, out: Path
) -> dict[str, Any]:
    """Score a model on the samples of `data.test` into a folder (see `write_evaluation`)."""
    told = about(model, samples, data.test, data.target_annotation)
    return write_evaluation(evaluate(model, samples), out, told)


def write_evaluation(table: pd.DataFrame, out: Path, about: dict[str, Any]) -> dict[str, Any]:
    """Write `dice.csv` and `summary.json` into a folder, created if needed.

    Args:
        table: output of `evaluate`.
        out: folder to write into.
        about: further entries of the summary: method, seed, data.

    Returns:
        The summary: `dice_cup`, `dice_disc` and `dice_mean`, each with mean, std, ci95 and n (see
        `masks.dice.summarise`);
        what `ratio_errors` returns;
        `cup_area_ratio` and `disc_area_ratio`, all predicted pixels over all reference pixels
        (below 1: too small; None without a reference); `quality` (see `quality_summary`); `images`,
        a fingerprint of their names and references; and `about`.
    """
    summary: dict[str, Any] = {name: summarise(table[name].to_numpy()) for name in DICE}
    scored_on = table[["image", "cup_area_reference", "disc_area_reference"]]
    summary["images"] = fingerprint(scored_on.values.tolist())
    summary |= ratio_errors(table)
    for structure in ("cup", "disc"):
        reference = table[f"{structure}_area_reference"].mean()
        ratio = table[f"{structure}_area"].mean() / reference if reference > 0 else None
        summary[f"{structure}_area_ratio"] = ratio
    summary["quality"] = quality_summary(table)
    summary |= about
    out.mkdir(parents=True, exist_ok=True)
    write_table(out / "dice.csv", table)
    write_whole(out / "summary.json", json.dumps(summary, indent=2) + "\n")
    return summary


def ratio_errors(table: pd.DataFrame) -> dict[str, float | int | None]:
    """Compute the errors of the vertical cup-to-disc ratio.

    Args:
        table: columns vertical_cdr, vertical_cdr_refuge, and both again with `_reference`.

    Returns:
        What `readers.agreement_of_ratios` returns, by extent, and `vertical_cdr_refuge_error` over
        all images (see `measurements.refuge_ratio_error`).
    """
    refuge = (table[f"vertical_cdr_refuge{of}"].to_numpy(float) for of in ("", "_reference"))
    return {
        **agreement_of_ratios(table["vertical_cdr"], table["vertical_cdr_reference"]),
        "vertical_cdr_refuge_error": refuge_ratio_error(*refuge),
    }


def quality_summary(table: pd.DataFrame) -> dict[str, float | int | None]:
    """Summarise how well the images are judged without their masks.

    Args:
        table: output of `evaluate`.

    Returns:
        `estimated_dice`, its mean over the set; `spearman`, its correlation with `dice_mean` over
        the images (None if one of them is constant); `low`, the number of images with a `dice_mean`
        below 0.8; `recall`, the share of those with a flag, and `false_alarms`, the share of the
        others with a flag (each None without such images). Images without a `dice_mean` count for
        `estimated_dice` alone.
    """
    estimated = float(table["estimated_dice"].mean())
    table = table[table["dice_mean"].notna()]
    low, flagged = table["dice_mean"] < LOW_DICE, table["flags"] != ""
    varies = table["dice_mean"].nunique() > 1 and table["estimated_dice"].nunique() > 1
    order = spearmanr(table["estimated_dice"], table["dice_mean"]).statistic if varies else None
    return {
        "estimated_dice": estimated,
        "spearman": None if order is None else float(order),
        "low": int(low.sum()),
        "recall": float(flagged[low].mean()) if low.any() else None,
        "false_alarms": float(flagged[~low].mean()) if not low.all() else None,
    }
