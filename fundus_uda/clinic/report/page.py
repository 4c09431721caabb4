"""The page to look through: one self-contained `report.html` of what `predict` wrote."""

import hashlib
import json
from collections.abc import Callable
from itertools import islice
from pathlib import Path
from typing import Any

import jinja2
import numpy as np
import pandas as pd
from markupsafe import Markup

from fundus_uda.clinic.report.cards import EMBEDDED_AT_MOST, SORTABLE, blackest, gallery
from fundus_uda.clinic.report.charts import bland_altman, dots_by_rank, histogram
from fundus_uda.clinic.report.numbers import Predictions, numbers, read_predictions
from fundus_uda.clinic.report.reviews import VERDICTS, read_reviews
from fundus_uda.clinic.report.summary import MEASURED, STATUSES
from fundus_uda.data.samples import Sample
from fundus_uda.engine.methods import METHODS
from fundus_uda.errors import InputError
from fundus_uda.files import write_table, write_whole
from fundus_uda.masks.dice import DICE
from fundus_uda.output import note
from fundus_uda.segmentation.quality import FLAGS
from fundus_uda.unfinished import note_rewritten

STATUS_TITLES = {"ok": "Without flags", "no_disc": "No disc found"}
"""Titles of statuses; the others are their names with blanks."""
VERDICT_TITLES = dict(zip(VERDICTS, ("Accepted", "Rejected"), strict=True))


def write_report(
    run: Path,
    before: Path | None = None,
    reference: list[Sample] | None = None,
    out: Path | None = None,
    reviewed: Path | None = None,
    readers: dict[str, Any] | None = None,
) -> Path:
    """Write a page that needs no network, and its numbers beside it.

    Up to `cards.EMBEDDED_AT_MOST` photographs, it needs no other file, either. The page of more
    holds the first ones and makes the others as they are shown, with the pictures of `run`.

    Args:
        run: folder that `predict` wrote, or that `adapt` wrote, whose `predictions` are taken.
        before: folder of the same photographs with the model before adaptation; if None, the one
            that `adapt` wrote beside it, if any.
        reference: samples with masks, whose ids are those of the photographs.
        out: page to write, ending in .html; `report.html` in `run` if None. Its numbers are written
            beside it under its name, as `.csv` (a row per photograph) and `.json` (the set); see
            `numbers.numbers`.
        reviewed: CSV that the button of an earlier page exported, to show and count again.
        readers: how far the readers of the reference differ (see
            `segmentation.readers.disagreement_of_readers`), to stand beside the scores.

    Returns:
        Path of the page.

    Raises:
        InputError: see `read_predictions`, `numbers` and `read_reviews`; or `out` has another
            suffix, or would overwrite a file of `predict`.
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
    if now.about["before"] and before is None:
        note(
            f"{run} was compared with an earlier model: to show both, give its folder as --before."
        )
    then = read_predictions(before) if before else None
    reviews = read_reviews(reviewed, set(now.table["image"])) if reviewed else None
    table, sets = numbers(now, then, reference or [], reviews)
    by_id = {sample.id: sample for sample in reference or []}
    columns = {name: title for name, title in SORTABLE.items()
               if name in table and table[name].notna().any()}  # fmt: skip
    black = blackest(table, now)
    out.parent.mkdir(parents=True, exist_ok=True)
    cards = gallery(table, columns, now, then, by_id, black, out)
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("fundus_uda.clinic.report", ""),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["number"] = _number
    environment.filters["script_text"] = _script_text
    page = environment.get_template("page.html.j2").render(
        after=sets["after"],
        before=sets["before"],
        method=lambda name: METHODS[name].title if name in METHODS else name,
        learnt_from=_learnt_from,
        shift=_shift(sets),
        has_intervals=_has_intervals(sets),
        readers=readers,
        charts=_charts(table, then),
        columns=columns,
        first=list(islice(cards, EMBEDDED_AT_MOST)),
        others=cards,
        black=black,
        statuses={status: _status_title(status) for status in STATUSES},
        flags=sets["after"]["set"]["flags"],
        about_flags=FLAGS,
        reviews=sets["reviews"],
        verdicts=VERDICT_TITLES,
        key=_key(now, reviewed),
    )
    write_table(out.with_suffix(".csv"), table)
    write_whole(out.with_suffix(".json"), json.dumps(sets | {"readers": readers}, indent=2) + "\n")
    write_whole(out, page)  # last: then all is done
    note_rewritten(out, out.with_suffix(".csv"), out.with_suffix(".json"))
    return out


def _script_text(value: Any) -> Markup:
    """Write JSON for a script element, which neither `</script>` nor a comment may end."""
    text = json.dumps(value, separators=(",", ":"))
    return Markup(text.replace("</", "<\\/").replace("<!--", "<\\u0021--"))


def _key(now: Predictions, reviewed: Path | None) -> str:
    """Return a name for what a browser keeps of the reader's reviews of these predictions."""
    parts = [now.about["written"], *now.table["image"]]
    told = "\n".join(parts).encode() + (reviewed.read_bytes() if reviewed else b"")
    return hashlib.sha256(told).hexdigest()[:16]


def _status_title(status: str) -> str:
    return STATUS_TITLES.get(status, status.replace("_", " ").capitalize())


def _learnt_from(model: dict[str, Any]) -> str:
    """Say what kinds of data the network learnt from, and nothing of their place."""
    parts = []
    if model.get("labelled"):
        rendered = model["labelled"] == "rendered"
        parts.append("rendered eyes" if rendered else f"labelled photographs ({model['labelled']})")
    if model.get("unlabelled"):
        parts.append(f"photographs without labels ({model['unlabelled']})")
    text = " and ".join(parts) or "not recorded"
    return text + (", going on from another network" if model.get("goes_on") else "")


def _has_intervals(sets: dict[str, Any]) -> bool:
    scores = sets["after"]["scores"]
    return any(scores[name]["ci95"] for name in DICE) if scores else False


def _shift(sets: dict[str, Any]) -> list[tuple[str, list[str]]]:
    """List the rows of the summary: a title, and a text each for before (if any) and after."""
    shown = [sets[name] for name in ("before", "after") if sets[name]]

    def row(title: str, text: Any) -> tuple[str, list[str]]:
        return title, [text(one) for one in shown]

    def share(one: dict[str, Any], *statuses: str) -> str:
        count = sum(one["set"][status] for status in statuses)
        return f"{count} of {one['set']['images']}"

    def mean(name: str, digits: int = 3) -> Callable[[dict[str, Any]], str]:
        return lambda one: _number(_compared(one)["set"][name], digits)

    def ratio(one: dict[str, Any]) -> str:
        cdr = _compared(one)["set"]["vertical_cdr"]
        low, median, high = (_number(cdr[f"quantile_{q}"]) for q in (25, 50, 75))
        return f"{median} ({low} to {high})"

    rows = [
        row("Photographs with disc and cup measured", lambda one: share(one, *MEASURED)),
        row("Flagged", lambda one: share(one, "flagged")),
        *(
            row(_status_title(status), lambda one, status=status: share(one, status))
            for status in STATUSES
            if status not in MEASURED
        ),
        row("Estimated Dice (no masks needed)", mean("estimated_dice")),
        row("Agreement under flips, cup", mean("flip_dice_cup")),
        row("Agreement under flips, disc", mean("flip_dice_disc")),
        row("Mean affinity", mean("mean_affinity", 4)),
        row("Vertical cup-to-disc ratio (vCDR), median (quartiles)", ratio),
    ]
    if sets["after"]["scores"]:
        for name, title in (("dice_cup", "Dice of the cup"), ("dice_disc", "Dice of the disc"),
                            ("dice_mean", "Mean Dice")):  # fmt: skip
            rows.append(row(title, lambda one, name=name: _with_interval(one["scores"][name])))
        rows += [
            row("Photographs with a vertical ratio and its reference",
                lambda one: "{vertical_cdr_images} of {images}".format(**one["scores"])),
            row("Mean absolute error of the vertical ratio in these",
                lambda one: _number(_ratio_errors(one).get("vertical_cdr_error"))),
            row("Within 0.05 of the reference's ratio, in these",
                lambda one: _share(_ratio_errors(one).get("vertical_cdr_within_0.05"))),
            row("Ratio of 0.6 or more where the reference's is below, and the other way round",
                lambda one: " and ".join(
                    _share(_ratio_errors(one).get(f"vertical_cdr_crosses_{way}"))
                    for way in ("up", "down"))),
            row("Bias of the vertical ratio in these (limits of agreement)", _agreement),
            row("Error as REFUGE counts, with 0 where no disc is found",
                lambda one: _number(one["scores"]["vertical_cdr_refuge_error"])),
            row("Cup area over the reference's, all photographs together",
                lambda one: _number(one["scores"]["cup_area_ratio"])),
            row("Photographs with a reference", lambda one: str(one["scores"]["images"])),
        ]  # fmt: skip
    return rows


def _with_interval(summary: dict[str, Any]) -> str:
    text = _number(summary["mean"])
    if summary["ci95"]:
        low, high = summary["ci95"]
        text += f" ({_number(low)} to {_number(high)})"
    return text


def _compared(one: dict[str, Any]) -> dict[str, Any]:
    """Return what means are taken of: the photographs that both models measured, or all."""
    compared: dict[str, Any] = one["common"] or one
    return compared


def _ratio_errors(one: dict[str, Any]) -> dict[str, Any]:
    return _compared(one)["scores"] or {}


def _share(value: float | None) -> str:
    return "-" if value is None else f"{100 * value:.0f} %"


def _agreement(one: dict[str, Any]) -> str:
    errors = _ratio_errors(one)
    bias, limits = errors.get("vertical_cdr_bias"), errors.get("vertical_cdr_limits")
    return _number(bias) + (f" ({_number(limits[0])} to {_number(limits[1])})" if limits else "")


def _charts(table: pd.DataFrame, then: Predictions | None) -> list[tuple[str, Markup]]:
    """Draw the charts, each with its caption."""
    ratio = "vertical_cdr"
    values, earlier, which = table[ratio].dropna(), None, "all photographs"
    if then:
        both = table[table[ratio].notna() & table[f"before_{ratio}"].notna()]
        values, earlier = both[ratio], both[f"before_{ratio}"].tolist()
        which = f"the {len(both)} photographs that both measured"
    charts = [
        (f"Vertical cup-to-disc ratio (vCDR) of {which}.",
         histogram(values.tolist(), earlier, "vertical ratio (vCDR)")),
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
        caption = f"Bland-Altman: vertical ratio (vCDR) of {len(both)} photographs against the "
        charts.append((caption + "reference, bias and limits of agreement.", chart))
    return charts


def _number(value: float | None, digits: int = 3) -> str:
    """Format a number as the page shows it: whole from 10 on, as most measures in pixels are."""
    if value is None or np.isnan(value):
        return "-"
    return f"{value:.0f}" if abs(value) >= 10 else f"{value:.{digits}f}"
