"""The numbers behind the report: what `predict` wrote, beside the model before and a reference."""

import json
import os
from collections.abc import Iterable
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from PIL import Image

from fundus_uda.clinic.report.reviews import VERDICTS
from fundus_uda.clinic.report.summary import columns, measured, or_none, summary_of
from fundus_uda.data.mask_files import read_mask
from fundus_uda.data.samples import Sample
from fundus_uda.errors import InputError
from fundus_uda.masks.classes import CUP, Mask
from fundus_uda.masks.dice import DICE, summarise
from fundus_uda.masks.measurements import (
    refuge_vertical_cup_to_disc_ratio,
    vertical_cup_to_disc_ratio,
)
from fundus_uda.segmentation.evaluation import ratio_errors
from fundus_uda.segmentation.quality import agreement

COMPARED = {
    "vertical_cdr": vertical_cup_to_disc_ratio,
    "vertical_cdr_refuge": refuge_vertical_cup_to_disc_ratio,
    "cup_area": lambda mask: float((mask == CUP).sum()),
}
"""Vertical cup-to-disc ratios, and the cup's pixels, that are compared with a reference's."""
BESIDE = "../before"
"""Folder of the model before as `adapt` writes it, beside the predictions."""


@dataclass(frozen=True)
class Predictions:
    """A folder that `predict` wrote."""

    folder: Path
    table: pd.DataFrame
    """Table of `measurements.csv`."""
    about: dict[str, Any]
    """Entries `model`, `versions`, `written`, `note`, `before` (see `reference_to`) and `part`
    (None for all photographs) of `summary.json`."""

    @property
    def before(self) -> Path | None:
        """Return the folder of the model before, if it is where `adapt` writes it."""
        return self.folder / BESIDE if self.about["before"] == BESIDE else None

    def mask(self, image: str) -> Mask | None:
        """Read the mask (H, W) of a photograph; None if no disc was found."""
        file = self.folder / "masks" / f"{image}.png"
        if not file.is_file():
            return None
        with Image.open(file) as opened:
            return np.asarray(opened)


def read_predictions(folder: Path) -> Predictions:
    """Read back what `predict` wrote.

    Raises:
        InputError: `predict` did not write the folder.
    """
    try:
        words = dict.fromkeys(("image", "status", "reason", "flags", "laterality"), str)
        table = pd.read_csv(
            folder / "measurements.csv", dtype=words, keep_default_na=False, na_values=[""]
        )
        summary = json.loads((folder / "summary.json").read_text(encoding="utf-8"))
        about = {name: summary[name] for name in ("model", "versions", "written", "note", "before")}
        about["part"] = summary.get("part")
        table = table[list(columns())].fillna({"reason": "", "flags": "", "laterality": ""})
    except (OSError, ValueError, KeyError, TypeError) as error:
        got = f"one whose tables cannot be read ({type(error).__name__})"
        if isinstance(error, FileNotFoundError):
            got = "one without measurements.csv" if folder.is_dir() else "no folder of that name"
        raise InputError(
            f"Expected a folder that `fundus-uda predict` or `adapt` wrote to its end at {folder}. "
            f"Got: {got}."
        ) from None
    return Predictions(folder, table, about)


def reference_to(before: Path, out: Path) -> str:
    """Return what the predictions in `out` keep of the folder of the model before.

    That is `BESIDE`, or the SHA-256 of its `summary.json`: another name may be a patient's.
    """
    if os.path.relpath(before, out) == BESIDE:
        return BESIDE
    return sha256((before / "summary.json").read_bytes()).hexdigest()


def require_same_images(images: Iterable[str], before: Predictions) -> None:
    """Raise an InputError unless `before` holds predictions of the same photographs."""
    different = set(images) ^ set(before.table["image"])
    if different:
        raise InputError(
            f"Expected predictions of the same photographs in {before.folder}. Got: "
            f"{len(different)} that are here or there alone. Predict the same paths with both, "
            "and the same key."
        )


def scores(run: Predictions, reference: list[Sample]) -> pd.DataFrame:
    """Compute Dice and vertical cup-to-disc ratio of the photographs that have a reference.

    Args:
        run: predictions to score.
        reference: samples with masks, whose ids are those of the photographs.

    Returns:
        Columns image, dice_cup, dice_disc, dice_mean, vertical_cdr, vertical_cdr_refuge, cup_area
        in pixels, and the last three of the reference, named *_reference. A photograph without a
        found disc counts as an empty mask; an unreadable one is left out. If no reference has a
        cup, only discs were annotated, and what needs a cup is NaN.

    Raises:
        InputError: no photograph has a reference, or a reference has another size.
    """
    by_id = {sample.id: sample for sample in reference}
    rows, has_cup = [], False
    for image in run.table.loc[run.table["status"] != "unreadable", "image"]:
        if image not in by_id:
            continue
        expected, _ = read_mask(by_id[image])
        predicted = run.mask(image)
        if predicted is None:
            predicted = np.zeros_like(expected)
        if expected.shape != predicted.shape:
            raise InputError(
                f"Expected reference masks as large as the photographs. Got: "
                f"{expected.shape[1]}x{expected.shape[0]} for {image}, which has "
                f"{predicted.shape[1]}x{predicted.shape[0]}."
            )
        has_cup = has_cup or bool((expected == CUP).any())
        cup, disc = agreement(predicted, expected)
        ratios = (of(m) for of in COMPARED.values() for m in (predicted, expected))
        rows.append((image, cup, disc, (cup + disc) / 2, *ratios))
    if not rows:
        raise InputError(
            f"Expected reference masks whose names are those of the photographs in {run.folder}. "
            f"Got: none of the {len(reference)}. Were the ids hashed?"
        )
    ratios_of_both = [f"{name}{of}" for name in COMPARED for of in ("", "_reference")]
    table = pd.DataFrame(rows, columns=["image", *DICE, *ratios_of_both])
    if not has_cup:
        table[["dice_cup", "dice_mean", *(f"{name}_reference" for name in COMPARED)]] = np.nan
    return table


def score_summary(table: pd.DataFrame) -> dict[str, Any]:
    """Summarise a table of `scores`.

    Returns:
        `images`, the number of rows; `dice_cup`, `dice_disc` and `dice_mean`, each as
        `masks.dice.summarise` returns it; what `ratio_errors` returns; `cup_area_ratio`, all
        predicted pixels of the cup over all of the reference (None without any); and of the
        difference between vertical_cdr and its reference, over the rows that have both,
        `vertical_cdr_bias` (mean) and `vertical_cdr_limits`, the limits of agreement (bias -+ 1.96
        standard deviations; Bland and Altman 1986), None for fewer than two.
    """
    difference = (table["vertical_cdr"] - table["vertical_cdr_reference"]).dropna()
    bias, spread = difference.mean(), 1.96 * difference.std()
    limits = None if len(difference) < 2 else [float(bias - spread), float(bias + spread)]
    return {
        "images": len(table),
        **{name: summarise(table[name].to_numpy()) for name in DICE},
        **ratio_errors(table),
        "cup_area_ratio": or_none(
            table["cup_area"].sum() / table["cup_area_reference"].sum()
            if table["cup_area_reference"].sum() > 0
            else float("nan")
        ),
        "vertical_cdr_bias": or_none(bias),
        "vertical_cdr_limits": limits,
    }


def numbers(
    run: Predictions,
    before: Predictions | None,
    reference: list[Sample],
    reviews: pd.DataFrame | None = None,
) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Collect all that the report shows: a table of photographs, and numbers of the set.

    Args:
        run: predictions to report.
        before: predictions of the model before adaptation, if any.
        reference: samples with masks; may be empty.
        reviews: reviews of the photographs (see `reviews.read_reviews`), if any.

    Returns:
        A table of the columns of `measurements.csv`; then, with `before`, before_vertical_cdr and
        before_estimated_dice; with a reference, dice_cup, dice_disc, dice_mean,
        vertical_cdr_reference, vertical_cdr_refuge_reference; with both,
        before_reference_dice_cup, _disc and _mean; with reviews, review and comment.
        A mapping with `after` and `before` (None without one), each with `set` (see `summary_of`),
        `scores` (see `score_summary`; None without a reference), `common`, and what `summary.json`
        says about the model; and with `reviews`, the count of each verdict and of comments (None
        without reviews). `common` has `images`, `set` and `scores` of the photographs that both
        models measured, since means over others cannot be compared; `scores` is None without any
        that has a reference, and `common` without `before`.

    Raises:
        InputError: see `require_same_images` and `scores`.
    """
    table = run.table
    if before is not None and run.about["part"]:
        of_part = before.table["image"].isin(table["image"])
        before = replace(before, table=before.table[of_part])
    sets: dict[str, Any] = {"after": run, "before": before}
    result: dict[str, Any] = {}
    common: set[str] | None = None
    if before is not None:
        require_same_images(run.table["image"], before)
        common = set(measured(run.table)["image"]) & set(measured(before.table)["image"])
        theirs = before.table[["image", "vertical_cdr", "estimated_dice"]]
        names = {name: f"before_{name}" for name in ("vertical_cdr", "estimated_dice")}
        table = table.merge(theirs.rename(columns=names), on="image", how="left")
    for name, predictions in sets.items():
        if predictions is None:
            result[name] = None
            continue
        scored = scores(predictions, reference) if reference else None
        if scored is not None and name == "after":
            table = table.merge(
                scored.drop(columns=[*COMPARED, "cup_area_reference"]), on="image", how="left"
            )
        elif scored is not None:
            names = {dice: f"before_reference_{dice}" for dice in DICE}
            theirs = scored[["image", *DICE]].rename(columns=names)
            table = table.merge(theirs, on="image", how="left")
        result[name] = {
            "set": summary_of(predictions.table),
            "scores": None if scored is None else score_summary(scored),
            "common": None if common is None else _summary_of_some(predictions, scored, common),
            **predictions.about,
        }
    if reviews is not None:
        table = table.merge(reviews, on="image", how="left")
        table = table.fillna({"review": "", "comment": ""})
    return table, result | {"reviews": None if reviews is None else _review_counts(reviews)}


def _summary_of_some(
    run: Predictions, scored: pd.DataFrame | None, images: set[str]
) -> dict[str, Any]:
    """Summarise the photographs of `images` alone."""
    some = None if scored is None else scored[scored["image"].isin(images)]
    return {
        "images": len(images),
        "set": summary_of(run.table[run.table["image"].isin(images)]),
        "scores": None if some is None or some.empty else score_summary(some),
    }


def _review_counts(reviews: pd.DataFrame) -> dict[str, int]:
    counts = {verdict: int((reviews["review"] == verdict).sum()) for verdict in VERDICTS}
    return counts | {"comments": int((reviews["comment"] != "").sum())}
