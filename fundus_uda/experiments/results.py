"""Scores of the finished runs of a table, as a data frame, Markdown and a plot."""

import json
import math
from pathlib import Path
from typing import Any

import pandas as pd

from fundus_uda.engine.run_folder import RunFolder
from fundus_uda.experiments.comparison import gap_closed
from fundus_uda.experiments.cost import Cost
from fundus_uda.experiments.tables import COSTED, Application, Dice

COST = "cost.json"
"""File in a run's folder, if the table has costs."""


def collect(application: Application, table: str, out: Path) -> pd.DataFrame:
    """Collect the scores of a table's finished runs with their last checkpoints.

    Returns:
        A row per run with row, title, seed, the application's scores, seconds, gflops,
        peak_megabytes, paper and gap_closed. `seconds` is the time of the run without those it
        starts from; NaN for a resumed or chosen one. `gflops` and `peak_megabytes` (see
        `experiments.cost`) are NaN where they were not counted. `gap_closed` is
        (run - source only) / (oracle - source only) in the last of the scores, for the same seed;
        NaN without those runs.
    """
    found = []
    for name, row in application.tables[table].items():
        for run in sorted(out.glob(f"{name}-seed*")):
            file = RunFolder(run).evaluation("last") / "summary.json"
            if file.is_file():
                summary: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
                took, cost = run / "seconds.json", run / COST
                found.append(
                    {
                        "row": name,
                        "title": row.title,
                        "seed": summary["seed"],
                        **application.scores_of(summary),
                        "seconds": json.loads(took.read_text()) if took.is_file() else math.nan,
                        **(json.loads(cost.read_text()) if cost.is_file() else {}),
                        "paper": of_paper(row.paper),
                    }
                )
    columns = ["row", "title", "seed", *application.scores, "seconds", *Cost._fields, "paper"]
    written = pd.DataFrame(found, columns=columns)
    score = list(application.scores)[-1]
    of_run = written.set_index(["row", "seed"])[score]
    written["gap_closed"] = [
        gap_closed(value, *(of_run.get((end, seed), math.nan) for end in ("source", "oracle")))
        for value, seed in zip(written[score], written["seed"], strict=True)
    ]
    return written


def as_markdown(application: Application, table: str, written: pd.DataFrame) -> str:
    """Format one line per row: the mean over its seeds and, if several, their standard deviation.

    The gap closed is the mean of the gaps of the seeds.
    """
    titles = ["Method", "Seeds", *application.scores.values(), "Gap closed"]
    titles += ["GFLOPs", "Memory (MB)"] if table == COSTED else []
    titles += ["Paper"]
    lines = [f"| {' | '.join(titles)} |", "|" + "---|" * len(titles)]
    for name, row in application.tables[table].items():
        runs = written[written["row"] == name]
        if len(runs):
            cells = [row.title, str(len(runs))]
            cells += [_mean_and_spread(runs[key], application.form) for key in application.scores]
            cells += [_mean_and_spread(100 * runs["gap_closed"], "{:.0f}", " %")]
            if table == COSTED:
                cells += [_mean_and_spread(runs[key], "{:.0f}") for key in Cost._fields]
            lines.append(f"| {' | '.join([*cells, of_paper(row.paper)])} |")
    return "\n".join(lines) + "\n"


def of_paper(value: Dice | float | None) -> str:
    """Format a value of the paper as the tables print it."""
    if isinstance(value, tuple):
        return ", ".join(f"{dice:.3f}" for dice in value)
    return "" if value is None else f"{value:.1f} % mIoU (GTA5)"


def _mean_and_spread(values: "pd.Series[float]", form: str, unit: str = "") -> str:
    if values.isna().any():
        return ""
    spread = f" ± {form.format(values.std())}" if len(values) > 1 else ""
    return form.format(values.mean()) + spread + unit


def plot(application: Application, table: str, written: pd.DataFrame, file: Path) -> None:
    """Plot a dot per run in the table's order, and the paper's value of that score (hollow)."""
    from matplotlib.figure import Figure  # not pyplot: no global state, and no window

    all_rows = application.tables[table]
    rows = [name for name in all_rows if name in set(written["row"])]
    figure = Figure(figsize=(7, 1 + 0.35 * len(rows)), layout="constrained")
    axes = figure.subplots()
    score = written[list(application.scores)[-1]]
    axes.plot(score, [rows.index(name) for name in written["row"]], "o", label="here")
    printed = [
        (paper[-1] if isinstance(paper, tuple) else paper, place)
        for place, paper in enumerate(all_rows[name].paper for name in rows)
        if isinstance(paper, application.comparable)
    ]
    if printed:
        label = f"paper ({application.comparable_on})"
        axes.plot(*zip(*printed, strict=True), "o", mfc="none", color="grey", label=label)
    axes.set_yticks(range(len(rows)), [all_rows[name].title for name in rows])
    axes.invert_yaxis()
    axes.set_xlabel(application.axis)
    axes.grid(axis="x", alpha=0.3)
    axes.legend(fontsize="small")
    figure.savefig(file, dpi=150)
