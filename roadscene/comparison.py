"""Runs side by side, as the paper's Tables I, II and VI."""

import json
from pathlib import Path
from typing import Any

import pandas as pd

from fundus_uda.engine.errors import InputError
from fundus_uda.engine.methods import METHODS

ABOUT = ("run", "method", "checkpoint", "seed", "step")
MEANS = {"19": "mIoU", "16": "mIoU 16", "13": "mIoU 13"}


def compare(runs: list[Path]) -> pd.DataFrame:
    """One row per run and kept checkpoint.

    Args:
        runs: run folders with `evaluation/*/`, or folders that `evaluate` wrote.

    Returns:
        The columns of `ABOUT`; the IoU of each class that occurs; the means (of the classes that
        occur) over as many of 19, 16 and 13 classes as the models have. All in percent.

    Raises:
        InputError: a folder without a summary, or runs scored on different images or classes.
    """
    rows, scored_on = [], {}
    for run in runs:
        for file in sorted(run.glob("evaluation/*/summary.json")) or [run / "summary.json"]:
            summary, classes = _read(file)
            rows.append(_row(run, file, summary, classes))
            scored_on[str(run)] = tuple(summary.get(k) for k in ("data", "images", "classes"))
    if len(set(scored_on.values())) > 1:
        lines = "\n  ".join(
            f"{run}: {images} images of {data}, {classes} classes"
            for run, (data, images, classes) in scored_on.items()
        )
        raise InputError(
            f"Expected runs that were scored on the same images and classes. Got:\n  {lines}\n"
            f"Compare each set by itself."
        )
    order = [method.title for method in METHODS.values()]
    table = pd.DataFrame(rows)
    absent = [name for name in table if name not in ABOUT and table[name].isna().all()]
    table = table.drop(columns=absent)
    table["order"] = [order.index(m) if m in order else len(order) for m in table["method"]]
    table = table.sort_values(["order", "seed", "checkpoint"], ignore_index=True)
    return table.drop(columns="order")


def as_markdown(table: pd.DataFrame) -> str:
    """The table in the paper's layout, in percent with one digit."""
    columns = [column for column in table.columns if column != "run"]
    lines = ["| " + " | ".join(columns) + " |", "|" + "---|" * len(columns)]
    for row in table.to_dict("records"):
        lines.append("| " + " | ".join(_cell(column, row[column]) for column in columns) + " |")
    return "\n".join(lines) + "\n"


def write_comparison(table: pd.DataFrame, file: Path) -> None:
    """Write `.csv`, or `.md` as printed.

    Raises:
        InputError: another suffix.
    """
    if file.suffix not in (".csv", ".md"):
        raise InputError(f"Expected --out to end in .csv or .md. Got: {file}.")
    file.parent.mkdir(parents=True, exist_ok=True)
    text = table.to_csv(index=False) if file.suffix == ".csv" else as_markdown(table)
    file.write_text(text, encoding="utf-8")


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


def _row(run: Path, file: Path, summary: dict[str, Any], classes: pd.DataFrame) -> dict[str, Any]:
    method = summary.get("method")
    return {
        "run": run.name,
        "method": METHODS[method].title if method in METHODS else str(method),
        "checkpoint": summary.get("checkpoint", file.parent.name),
        "seed": summary.get("seed"),
        "step": summary.get("step"),
        **{name: 100 * value for name, value in zip(classes["class"], classes["iou"], strict=True)},
        **{title: 100 * summary[n]["miou"] for n, title in MEANS.items() if n in summary},
    }


def _cell(column: str, value: Any) -> str:
    if pd.isna(value):
        return ""
    if column in ("seed", "step"):
        return str(int(value))  # a column with a gap holds floats
    return f"{value:.1f}" if isinstance(value, float) else str(value)
