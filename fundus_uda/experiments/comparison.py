"""Comparison of runs, as far as both applications share it."""

import json
from pathlib import Path
from typing import Any

import pandas as pd

from fundus_uda.engine.methods import METHODS
from fundus_uda.engine.model_path import kept_run
from fundus_uda.engine.run_folder import RunFolder
from fundus_uda.errors import InputError
from fundus_uda.files import write_table, write_whole

ABOUT = ("run", "method", "checkpoint", "seed", "step")


def summary_files(run: Path) -> list[Path]:
    """List the summary files of a run's kept checkpoints, or of a folder that `evaluate` wrote.

    A folder that `adapt` wrote stands for the run that it kept.
    """
    run = kept_run(run)
    return RunFolder(run).summaries() or [run / "summary.json"]


def about(run: Path, file: Path, summary: dict[str, Any]) -> dict[str, Any]:
    """Return the columns of `ABOUT` for a summary."""
    method = summary.get("method")
    return {
        "run": run.name,
        "method": METHODS[method].title if method in METHODS else str(method),
        "checkpoint": summary.get("checkpoint", file.parent.name),
        "seed": summary.get("seed"),
        "step": summary.get("step"),
    }


def require_scored_alike(told: dict[Path, tuple[Any, str]], what: str) -> None:
    """Raise an InputError unless all runs were scored on the same data.

    Args:
        told: for each run, a value that must be the same for all, and its text for the error.
        what: name of that value in the error.
    """
    if len({json.dumps(scored_on) for scored_on, _ in told.values()}) > 1:
        lines = "\n  ".join(f"{run}: {text}" for run, (_, text) in told.items())
        raise InputError(
            f"Expected runs that were scored on the same {what}. Got:\n  {lines}\n"
            f"Compare each set by itself."
        )


def in_order(rows: list[dict[str, Any]]) -> pd.DataFrame:
    """Sort rows by method in the paper's order, then by seed and checkpoint."""
    order = [method.title for method in METHODS.values()]
    table = pd.DataFrame(rows)
    table["order"] = [order.index(m) if m in order else len(order) for m in table["method"]]
    table = table.sort_values(["order", "seed", "checkpoint"], ignore_index=True)
    return table.drop(columns="order")


def gap_closed(adapted: float, source: float, oracle: float) -> float:
    """Compute (adapted - source only) / (oracle - source only); NaN where there is no gap."""
    return (adapted - source) / (oracle - source) if oracle != source else float("nan")


def write_comparison(table: pd.DataFrame, markdown: str, file: Path) -> None:
    """Write a comparison as `.csv` with all columns, or as `.md` as printed.

    Raises:
        InputError: another suffix.
    """
    if file.suffix not in (".csv", ".md"):
        raise InputError(f"Expected --out to end in .csv or .md. Got: {file}.")
    file.parent.mkdir(parents=True, exist_ok=True)
    if file.suffix == ".csv":
        write_table(file, table)
    else:
        write_whole(file, markdown)
