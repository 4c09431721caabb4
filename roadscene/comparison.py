"""Comparison of runs side by side, as in the paper's Tables I, II and VI."""

import json
from pathlib import Path
from typing import Any

import pandas as pd

from fundus_uda.errors import InputError
from fundus_uda.experiments.comparison import (
    ABOUT,
    about,
    in_order,
    require_scored_alike,
    summary_files,
)

MEANS = {"19": "mIoU", "16": "mIoU 16", "13": "mIoU 13"}


def compare(runs: list[Path]) -> pd.DataFrame:
    """Tabulate the scores of runs, one row per run and kept checkpoint.

    Args:
        runs: run folders with `evaluation/*/`, or folders that `evaluate` wrote.

    Returns:
        The columns of `ABOUT`; the IoU of each class that occurs; the means over 19, 16 and 13
        classes, as far as the models have them and the classes occur. All in percent.

    Raises:
        InputError: a folder without a summary, or runs scored on different images or classes.
    """
    rows, told = [], {}
    for run in runs:
        for file in summary_files(run):
            summary, classes = _read(file)
            by_class = zip(classes["class"], classes["iou"], strict=True)
            rows.append(
                {
                    **about(run, file, summary),
                    **{name: 100 * value for name, value in by_class},
                    **{
                        title: 100 * summary[n]["miou"]
                        for n, title in MEANS.items()
                        if n in summary
                    },
                }
            )
            images, data, count = (summary.get(key) for key in ("images", "data", "classes"))
            told[run] = ([images, data, count], f"{images} images of {data}, {count} classes")
    require_scored_alike(told, "images and classes")
    table = in_order(rows)
    absent = [name for name in table if name not in ABOUT and table[name].isna().all()]
    return table.drop(columns=absent)


def as_markdown(table: pd.DataFrame) -> str:
    """Format the table in the paper's layout, in percent with one decimal."""
    columns = [column for column in table.columns if column != "run"]
    lines = ["| " + " | ".join(columns) + " |", "|" + "---|" * len(columns)]
    for row in table.to_dict("records"):
        lines.append("| " + " | ".join(_cell(column, row[column]) for column in columns) + " |")
    return "\n".join(lines) + "\n"


def _read(file: Path) -> tuple[dict[str, Any], pd.DataFrame]:
    try:
        summary: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
        float(summary["13"]["miou"])
        return summary, pd.read_csv(file.with_name("iou.csv"))[["class", "iou"]]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(
            f"Expected summary.json and iou.csv of an evaluation in {file.parent}. Got: "
            f"{type(error).__name__}. Give run folders whose training had data.test, or folders "
            f"that `evaluate` wrote."
        ) from None


def _cell(column: str, value: Any) -> str:
    if pd.isna(value):
        return ""
    if column in ("seed", "step"):
        return str(int(value))  # a column with a gap holds floats
    return f"{value:.1f}" if isinstance(value, float) else str(value)
