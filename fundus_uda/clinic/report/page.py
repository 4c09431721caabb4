"""The page to look through: one self-contained `report.html` of what `predict` wrote."""

import base64
import json
from collections.abc import Hashable
from pathlib import Path
from typing import Any

import jinja2
import numpy as np
import pandas as pd
from markupsafe import Markup
from PIL import Image

from fundus_uda.clinic.report.charts import bland_altman, dots_by_rank, histogram
from fundus_uda.clinic.report.numbers import Predictions, numbers, read_predictions
from fundus_uda.clinic.report.summary import measured
from fundus_uda.data.mask_files import read_mask
from fundus_uda.data.samples import Sample
from fundus_uda.engine.methods import METHODS
from fundus_uda.errors import InputError
from fundus_uda.masks.classes import BACKGROUND, CUP, Mask
from fundus_uda.masks.outlines import svg_path
from fundus_uda.masks.region import DiscRegion

SORTABLE = {
    "vertical_cdr": "Vertical cup-to-disc ratio",
    "horizontal_cdr": "Horizontal cup-to-disc ratio",
    "area_cdr": "Area cup-to-disc ratio",
    "rim_narrowest_ratio": "Narrowest rim over diameter",
    "ddls_stage": "Disc damage stage",
    "disc_height_pixels": "Disc height, pixels",
    "disc_height_mm": "Disc height, mm",
    "estimated_dice": "Estimated Dice",
    "mean_affinity": "Mean affinity",
    "flip_dice_cup": "Agreement under flips, cup",
    "flip_dice_disc": "Agreement under flips, disc",
    "sharpness": "Sharpness",
    "before_dice_cup": "Agreement with the model before, cup",
    "before_dice_disc": "Agreement with the model before, disc",
    "before_vertical_cdr": "Vertical cup-to-disc ratio before",
    "dice_cup": "Dice of the cup",
    "dice_disc": "Dice of the disc",
    "dice_mean": "Mean Dice",
    "vertical_cdr_reference": "Vertical cup-to-disc ratio of the reference",
}
"""Columns that the gallery shows, sorts and filters by, where they have values."""


def write_report(
    run: Path,
    before: Path | None = None,
    reference: list[Sample] | None = None,
    out: Path | None = None,
) -> Path:
    """Write a page that needs no other file and no network, and its numbers beside it.

    Args:
        run: folder that `predict` wrote, or that `adapt` wrote, whose `predictions` are taken.
        before: folder of the same photographs with the model before adaptation; if None, the one
            that `predict` was given, if any.
        reference: samples with masks, whose ids are those of the photographs.
        out: page to write, ending in .html; `report.html` in `run` if None. Its numbers are written
            beside it under its name, as `.csv` (a row per photograph) and `.json` (the set); see
            `numbers.numbers`.

    Returns:
        Path of the page.

    Raises:
        InputError: see `read_predictions` and `numbers`; or `out` has another suffix, or would
            overwrite a file of `predict`.
    """
    if (run / "stages.csv").is_file():
        run = run / "predictions"
    out = out or run / "report.html"
    if out.suffix != ".html" or out.stem in ("measurements", "summary"):
        raise InputError(
            f"Expected --out to end in .html, and not to be named like a file of predict, since "
            f".csv and .json of its name are written beside it. Got: {out}."
        )
    now = read_predictions(run)
    before = before or now.before
    then = read_predictions(before) if before else None
    table, sets = numbers(now, then, reference or [])
    by_id = {sample.id: sample for sample in reference or []}
    columns = {name: title for name, title in SORTABLE.items()
               if name in table and table[name].notna().any()}  # fmt: skip
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("fundus_uda.clinic.report", ""),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["number"] = _number
    page = environment.get_template("page.html.j2").render(
        after=sets["after"],
        before=sets["before"],
        method=lambda name: METHODS[name].title if name in METHODS else name,
        shift=_shift(sets),
        charts=_charts(table, now, then),
        columns=columns,
        cards=[_card(row, columns, now, then, by_id) for row in table.to_dict("records")],
        flags=sets["after"]["set"]["flags"],
    )
    out.parent.mkdir(parents=True, exist_ok=True)
    table.to_csv(out.with_suffix(".csv"), index=False)
    out.with_suffix(".json").write_text(json.dumps(sets, indent=2) + "\n", encoding="utf-8")
    temporary = out.with_suffix(".html.tmp")  # the page comes last and whole: then all is done
    temporary.write_text(page, encoding="utf-8")
    temporary.replace(out)
    return out


def _shift(sets: dict[str, Any]) -> list[tuple[str, list[str]]]:
    """List the rows of the summary: a title, and a text each for before (if any) and after."""
    shown = [sets[name] for name in ("before", "after") if sets[name]]

    def row(title: str, text: Any) -> tuple[str, list[str]]:
        return title, [text(one) for one in shown]

    def share(one: dict[str, Any], *statuses: str) -> str:
        count = sum(one["set"][status] for status in statuses)
        return f"{count} of {one['set']['images']}"

    def ratio(one: dict[str, Any]) -> str:
        cdr = one["set"]["vertical_cdr"]
        low, median, high = (_number(cdr[f"quantile_{q}"]) for q in (25, 50, 75))
        return f"{median} ({low} to {high})"

    rows = [
        row("Photographs with disc and cup measured", lambda one: share(one, "ok", "flagged")),
        row("Flagged", lambda one: share(one, "flagged")),
        row("Without a disc, or unreadable", lambda one: share(one, "no_disc", "unreadable")),
        row("Network unsure of the disc that was found", lambda one: share(one, "network_unsure")),
        row("Estimated Dice (no masks needed)", lambda one: _number(one["set"]["estimated_dice"])),
        row("Agreement under flips, cup", lambda one: _number(one["set"]["flip_dice_cup"])),
        row("Agreement under flips, disc", lambda one: _number(one["set"]["flip_dice_disc"])),
        row("Mean affinity", lambda one: _number(one["set"]["mean_affinity"], 4)),
        row("Vertical cup-to-disc ratio, median (quartiles)", ratio),
    ]
    if sets["after"]["scores"]:
        for name, title in (("dice_cup", "Dice of the cup"), ("dice_disc", "Dice of the disc"),
                            ("dice_mean", "Mean Dice")):  # fmt: skip
            rows.append(row(title, lambda one, name=name: _with_interval(one["scores"][name])))
        rows += [
            row("Photographs with a vertical ratio and its reference",
                lambda one: "{vertical_cdr_images} of {images}".format(**one["scores"])),
            row("Mean absolute error of the vertical ratio in these",
                lambda one: _number(one["scores"]["vertical_cdr_error"])),
            row("Bias of the vertical ratio in these (limits of agreement)", _agreement),
            row("Error as REFUGE counts, with 0 where no disc is found",
                lambda one: _number(one["scores"]["vertical_cdr_refuge_error"])),
            row("Photographs with a reference", lambda one: str(one["scores"]["images"])),
        ]  # fmt: skip
    return rows


def _with_interval(summary: dict[str, Any]) -> str:
    text = _number(summary["mean"])
    if summary["ci95"]:
        low, high = summary["ci95"]
        text += f" ({_number(low)} to {_number(high)})"
    return text


def _agreement(one: dict[str, Any]) -> str:
    bias, limits = one["scores"]["vertical_cdr_bias"], one["scores"]["vertical_cdr_limits"]
    return _number(bias) + (f" ({_number(limits[0])} to {_number(limits[1])})" if limits else "")


def _charts(
    table: pd.DataFrame, now: Predictions, then: Predictions | None
) -> list[tuple[str, Markup]]:
    """Draw the charts, each with its caption."""
    ratio = "vertical_cdr"
    earlier = measured(then.table)[ratio].dropna().tolist() if then else None
    charts = [
        ("Vertical cup-to-disc ratio of all photographs.",
         histogram(measured(now.table)[ratio].dropna().tolist(), earlier, "vertical ratio")),
    ]  # fmt: skip
    if "dice_disc" not in table:
        return charts
    scored = table[table["dice_disc"].notna()]
    names = scored["image"].tolist()
    for structure in ("cup", "disc"):
        if scored[f"dice_{structure}"].isna().all():  # nobody annotated it
            continue
        column = f"before_reference_dice_{structure}"
        theirs = scored[column].tolist() if column in scored else None
        chart = dots_by_rank(names, scored[f"dice_{structure}"].tolist(), theirs, "Dice")
        charts.append((f"Dice of the {structure} against the reference.", chart))
    both = scored[scored[ratio].notna() & scored["vertical_cdr_reference"].notna()]
    if len(both) > 1:
        predicted, expected = both[ratio], both["vertical_cdr_reference"]
        bias, spread = (predicted - expected).mean(), 1.96 * (predicted - expected).std()
        chart = bland_altman(
            both["image"].tolist(), predicted.tolist(), expected.tolist(), bias,
            (bias - spread, bias + spread),
        )  # fmt: skip
        charts.append(
            ("Bland-Altman: vertical ratio against the reference, bias and limits of agreement.",
             chart)
        )  # fmt: skip
    return charts


def _card(
    row: dict[Hashable, Any],
    columns: dict[str, str],
    now: Predictions,
    then: Predictions | None,
    references: dict[str, Sample],
) -> dict[str, Any]:
    """Collect what the gallery shows of one photograph."""
    image = row["image"]
    card: dict[str, Any] = {
        **{name: row[name] for name in ("image", "status", "reason")},
        "flags": row["flags"].split(),
        "measures": {name: float(row[name]) for name in columns if not pd.isna(row[name])},
        "picture": None,
        "affinity": None,
        "outlines": [],
    }
    file = now.folder / "crops" / f"{image}.jpg"
    if not file.is_file():
        return card
    with Image.open(file) as opened:
        width, height = opened.size
    card |= {"picture": _data_url(file, "jpeg"), "width": width, "height": height}
    if row["status"] not in ("ok", "flagged"):  # the picture is the whole photograph
        return card
    masks = {"": now.mask(image)}
    if then:
        masks["before "] = then.mask(image)
    if image in references:
        masks["reference "], _ = read_mask(references[image])
    for whose, mask in masks.items():
        if mask is None:
            continue
        seen = _in_region(mask, row)
        for structure, part in (("disc", seen != BACKGROUND), ("cup", seen == CUP)):
            card["outlines"].append((f"{whose}{structure}", svg_path(part, (height, width))))
    affinity = now.folder / "affinity" / f"{image}.png"
    return card | {"affinity": _data_url(affinity, "png")}


def _in_region(mask: Mask, row: dict[Hashable, Any]) -> Mask:
    top, left, height, width = (
        int(row[f"region_{name}"]) for name in ("top", "left", "height", "width")
    )
    region = DiscRegion((top, left), 1, (top, top + height), (left, left + width), is_crop=False)
    return region.crop(mask)


def _data_url(file: Path, kind: str) -> str:
    return f"data:image/{kind};base64," + base64.b64encode(file.read_bytes()).decode()


def _number(value: float | None, digits: int = 3) -> str:
    """Format a number as the page shows it: whole from 10 on, as most measures in pixels are."""
    if value is None or np.isnan(value):
        return "-"
    return f"{value:.0f}" if abs(value) >= 10 else f"{value:.{digits}f}"
