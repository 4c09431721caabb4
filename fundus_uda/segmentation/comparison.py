"""Comparison of runs, as in the paper's Table VII."""

import json
from pathlib import Path
from typing import Any

import pandas as pd

from fundus_uda.engine.methods import METHODS
from fundus_uda.errors import InputError
from fundus_uda.experiments.comparison import (
    about,
    gap_closed,
    in_order,
    require_scored_alike,
    summary_files,
)
from fundus_uda.masks.dice import DICE

BESIDE = ("vertical_cdr_within_0.05", "cup_area_ratio")
"""Numbers of a summary that a comparison shows beside Dice."""


def compare(runs: list[Path]) -> pd.DataFrame:
    """Compare runs in a table, one row per run and kept checkpoint.

    Args:
        runs: run folders with `evaluation/*/summary.json`, or folders with a `summary.json`.

    Returns:
        Columns run, method, checkpoint, seed, step, dice_cup, dice_disc, dice_mean, dice_mean_std,
        vertical_cdr_within_0.05, cup_area_ratio (see `evaluation.write_evaluation`; NaN if unknown)
        and gap_closed = (run - source only) / (oracle - source only) of dice_mean. gap_closed is
        NaN unless `runs` has one source-only and one oracle run from pretrained weights, of the
        same seed, augmentation and source sizes.

    Raises:
        InputError: a folder has no summary, or runs were scored on different images.
    """
    rows, told = [], {}
    for run in runs:
        for file in summary_files(run):
            summary = _read(file)
            rows.append(
                {
                    **about(run, file, summary),
                    **mean_scores(summary),
                    "dice_mean_std": summary["dice_mean"]["std"],
                    **{name: _known(summary.get(name)) for name in BESIDE},
                    "goes_on": bool(summary.get("goes_on")),
                    "training": (summary.get("augmentation"), summary.get("source_sizes")),
                }
            )
            annotation = summary.get("annotation") or "default"
            count = summary["dice_disc"]["n"]
            text = f"{count} images of {summary.get('data')}, annotation {annotation}"
            told[run] = (summary.get("images"), text)
    require_scored_alike(told, "images and annotation")
    table = in_order(rows)
    table["gap_closed"] = [_gap_closed_in(table, row) for _, row in table.iterrows()]
    return table.drop(columns=["goes_on", "training"])


def as_markdown(table: pd.DataFrame) -> str:
    """Format the table in the paper's layout, with three digits of Dice."""
    lines = [
        "| Method | Checkpoint | Seed | Step | Dice cup | Dice disc | Mean | Gap closed "
        "| vCDR within 0.05 | Cup area |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for row in table.to_dict("records"):
        gap, within = (
            "" if pd.isna(row[name]) else f"{100 * row[name]:.0f} %"
            for name in ("gap_closed", "vertical_cdr_within_0.05")
        )
        area = "" if pd.isna(row["cup_area_ratio"]) else f"{row['cup_area_ratio']:.2f}"
        lines.append(
            f"| {row['method']} | {row['checkpoint']} | {row['seed']} | {row['step']} "
            f"| {' | '.join('' if pd.isna(row[d]) else f'{row[d]:.3f}' for d in DICE)} | {gap} "
            f"| {within} | {area} |"
        )
    return "\n".join(lines) + "\n"


def _known(value: float | None) -> float:
    return float("nan") if value is None else value


def mean_scores(summary: dict[str, Any]) -> dict[str, float]:
    """Return the means of the Dice scores of a summary; NaN for what nobody annotated."""
    means = {name: summary[name]["mean"] for name in DICE}
    return {name: _known(mean) for name, mean in means.items()}


def _read(file: Path) -> dict[str, Any]:
    try:
        summary: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
        for name in DICE:
            summary[name] = {key: summary[name][key] for key in ("mean", "std", "n")}
        return summary
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(
            f"Expected a summary of an evaluation at {file}. Got: {type(error).__name__}. Give "
            f"run folders whose training had data.test, or folders that `evaluate` wrote."
        ) from None


def _gap_closed_in(table: pd.DataFrame, row: "pd.Series[Any]") -> float:
    alike = (table["seed"] == row["seed"]) & (table["training"] == row["training"])
    first = table[alike & ~table["goes_on"]]
    ends = [
        first.loc[first["method"] == METHODS[name].title, "dice_mean"]
        for name in ("source", "oracle")
    ]
    if any(len(end) != 1 for end in ends):
        return float("nan")
    source, oracle = (float(end.iloc[0]) for end in ends)
    return gap_closed(row["dice_mean"], source, oracle)
