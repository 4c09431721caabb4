"""What the tables of runs share, in both applications."""

import json
from pathlib import Path
from typing import Any

import pandas as pd

from fundus_uda.engine.errors import InputError
from fundus_uda.engine.methods import METHODS

ABOUT = ("run", "method", "checkpoint", "seed", "step")


def summary_files(run: Path) -> list[Path]:
    """Of each kept checkpoint of a run folder, or of a folder that `evaluate` wrote."""
    return sorted(run.glob("evaluation/*/summary.json")) or [run / "summary.json"]


def about(run: Path, file: Path, summary: dict[str, Any]) -> dict[str, Any]:
    """The columns of `ABOUT` for a summary."""
    method = summary.get("method")
    return {
        "run": run.name,
        "method": METHODS[method].title if method in METHODS else str(method),
        "checkpoint": summary.get("checkpoint", file.parent.name),
        "seed": summary.get("seed"),
        "step": summary.get("step"),
    }


def require_scored_alike(told: dict[Path, tuple[Any, str]], what: str) -> None:
    """Raise an InputError unless all runs were scored on the same.

    Args:
        told: by run, what must not differ, and that in words.
        what: the word for it.
    """
    if len({json.dumps(scored_on) for scored_on, _ in told.values()}) > 1:
        lines = "\n  ".join(f"{run}: {text}" for run, (_, text) in told.items())
        raise InputError(
            f"Expected runs that were scored on the same {what}. Got:\n  {lines}\n"
            f"Compare each set by itself."
        )


def in_order(rows: list[dict[str, Any]]) -> pd.DataFrame:
    """By method as in the paper, seed and checkpoint."""
    order = [method.title for method in METHODS.values()]
    table = pd.DataFrame(rows)
    table["order"] = [order.index(m) if m in order else len(order) for m in table["method"]]
    table = table.sort_values(["order", "seed", "checkpoint"], ignore_index=True)
    return table.drop(columns="order")


def gap_closed(adapted: float, source: float, oracle: float) -> float:
    """(adapted - source only) / (oracle - source only); NaN where there is no gap."""
    return (adapted - source) / (oracle - source) if oracle != source else float("nan")


def write_comparison(table: pd.DataFrame, markdown: str, file: Path) -> None:
    """Write `.csv` with all columns, or `.md` as printed.

    Raises:
        InputError: another suffix.
    """
    if file.suffix not in (".csv", ".md"):
        raise InputError(f"Expected --out to end in .csv or .md. Got: {file}.")
    file.parent.mkdir(parents=True, exist_ok=True)
    text = table.to_csv(index=False) if file.suffix == ".csv" else markdown
    file.write_text(text, encoding="utf-8")
