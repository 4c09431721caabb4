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
from numpy.typing import NDArray
from PIL import Image

from fundus_uda.clinic.charts import bland_altman, dots_by_rank, histogram
from fundus_uda.clinic.localise import DiscRegion
from fundus_uda.clinic.outlines import svg_path
from fundus_uda.clinic.report_data import Predictions, figures, read_predictions
from fundus_uda.clinic.summary import measured
from fundus_uda.data.masks import BACKGROUND, CUP, read_mask
from fundus_uda.data.samples import Sample
from fundus_uda.engine.errors import InputError
from fundus_uda.engine.methods import METHODS

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
"""The columns that the gallery shows, sorts and filters by, where they have values."""


def write_report(
    run: Path,
    before: Path | None = None,
    reference: list[Sample] | None = None,
    out: Path | None = None,
) -> Path:
    """Write a page that needs no other file and no network, and its figures beside it.

    Args:
        run: a folder that `predict` wrote, or `adapt`, whose `predictions` are taken.
        before: one of the same photographs with the model before adaptation; if None, the one that
            `run` was written with.
        reference: samples with masks, whose ids are those of the photographs.
        out: the page, ending in .html; `report.html` in `run` if None. Beside it, under its name,
            `.csv` (a row per photograph) and `.json` (the set): see `report_data.figures`.

    Returns:
        The page's path.

    Raises:
        InputError: see `read_predictions` and `figures`; `out` ends otherwise, or what would be
            written is what `predict` wrote.
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
    table, sets = figures(now, then, reference or [])
    by_id = {sample.id: sample for sample in reference or []}
    columns = {name: title for name, title in SORTABLE.items()
               if name in table and table[name].notna().any()}  # fmt: skip
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("fundus_uda.clinic", ""),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["figure"] = _figure
    page = environment.get_template("report.html.j2").render(
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
    temporary = out.with_suffix(".html.tmp")  # the page comes last and whole: it says all is done
    temporary.write_text(page, encoding="utf-8")
    temporary.replace(out)
    return out


def _shift(sets: dict[str, Any]) -> list[tuple[str, list[str]]]:
    """Rows of the summary: a title, and a text per column (before, if there is one, and after)."""
    shown = [sets[name] for name in ("before", "after") if sets[name]]

    def row(title: str, text: Any) -> tuple[str, list[str]]:
        return title, [text(one) for one in shown]

    def share(one: dict[str, Any], *statuses: str) -> str:
        count = sum(one["set"][status] for status in statuses)
        return f"{count} of {one['set']['images']}"

    def ratio(one: dict[str, Any]) -> str:
        cdr = one["set"]["vertical_cdr"]
        low, median, high = (_figure(cdr[f"quantile_{q}"]) for q in (25, 50, 75))
        return f"{median} ({low} to {high})"

    rows = [
        row("Photographs with disc and cup measured", lambda one: share(one, "ok", "flagged")),
        row("Flagged", lambda one: share(one, "flagged")),
        row("Without a disc, or unreadable", lambda one: share(one, "no_disc", "unreadable")),
        row("Estimated Dice (no masks needed)", lambda one: _figure(one["set"]["estimated_dice"])),
        row("Agreement under flips, cup", lambda one: _figure(one["set"]["flip_dice_cup"])),
        row("Agreement under flips, disc", lambda one: _figure(one["set"]["flip_dice_disc"])),
        row("Mean affinity", lambda one: _figure(one["set"]["mean_affinity"], 4)),
        row("Vertical cup-to-disc ratio, median (quartiles)", ratio),
    ]
    if sets["after"]["scores"]:
        for name, title in (("dice_cup", "Dice of the cup"), ("dice_disc", "Dice of the disc"),
                            ("dice_mean", "Mean Dice")):  # fmt: skip
            rows.append(row(title, lambda one, name=name: _with_interval(one["scores"][name])))
        rows += [
            row("Mean absolute error of the vertical ratio",
                lambda one: _figure(one["scores"]["vertical_cdr_error"])),
            row("Bias of the vertical ratio (limits of agreement)", _agreement),
            row("Photographs with a reference", lambda one: str(one["scores"]["images"])),
        ]  # fmt: skip
    return rows


def _with_interval(summary: dict[str, Any]) -> str:
    text = _figure(summary["mean"])
    if summary["ci95"]:
        low, high = summary["ci95"]
        text += f" ({_figure(low)} to {_figure(high)})"
    return text


def _agreement(one: dict[str, Any]) -> str:
    bias, limits = one["scores"]["vertical_cdr_bias"], one["scores"]["vertical_cdr_limits"]
    return _figure(bias) + (f" ({_figure(limits[0])} to {_figure(limits[1])})" if limits else "")


def _charts(
    table: pd.DataFrame, now: Predictions, then: Predictions | None
) -> list[tuple[str, Markup]]:
    """Captions and pictures."""
    ratio = "vertical_cdr"
    earlier = measured(then.table)[ratio].dropna().tolist() if then else None
    charts = [
        ("Vertical cup-to-disc ratio of all photographs.",
         histogram(measured(now.table)[ratio].dropna().tolist(), earlier, "vertical ratio")),
    ]  # fmt: skip
    if "dice_mean" not in table:
        return charts
    scored = table[table["dice_mean"].notna()]
    names = scored["image"].tolist()
    for structure in ("cup", "disc"):
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
    """What the gallery shows of one photograph."""
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
    card |= {"picture": _data_address(file, "jpeg"), "width": width, "height": height}
    if row["status"] == "no_disc":  # the picture is the whole photograph
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
    return card | {"affinity": _data_address(affinity, "png")}


def _in_region(mask: NDArray[np.uint8], row: dict[Hashable, Any]) -> NDArray[np.uint8]:
    top, left, height, width = (
        int(row[f"region_{name}"]) for name in ("top", "left", "height", "width")
    )
    region = DiscRegion((top, left), 1, (top, top + height), (left, left + width), is_crop=False)
    return region.crop(mask)


def _data_address(file: Path, kind: str) -> str:
    return f"data:image/{kind};base64," + base64.b64encode(file.read_bytes()).decode()


def _figure(value: float | None, digits: int = 3) -> str:
    """A number as the page shows it; measures in pixels and stages come whole."""
    if value is None or np.isnan(value):
        return "-"
    return f"{value:.0f}" if abs(value) >= 10 else f"{value:.{digits}f}"
