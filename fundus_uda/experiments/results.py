"""Scores of the finished runs of a table, as a data frame, Markdown and a plot."""

import json
import math
from pathlib import Path

import pandas as pd

from fundus_uda.engine.run_folder import RunFolder
from fundus_uda.experiments.comparison import gap_closed
from fundus_uda.experiments.tables import Application, Quoted, Table
from fundus_uda.files import read_json, replacing

CHECKPOINTS = ("last", "selected")
"""Kept checkpoints of a run: its last, and the one that the paper reports (Section IV-B)."""


def collect(application: Application, rows: Table, out: Path) -> pd.DataFrame:
    """Collect the scores of a table's finished runs, of both kept checkpoints.

    Returns:
        A row per run and checkpoint with row, title, checkpoint, seed, the application's scores,
        seconds, paper and gap_closed. `seconds` is the time of the run without those it starts
        from; NaN for a resumed or chosen one. `gap_closed` is
        (run - source only) / (oracle - source only) in the last of the scores, for the same seed
        and the last checkpoints of those two; NaN without them.
    """
    found = []
    for name, row in rows.items():
        for run in sorted(out.glob(f"{name}-seed*")):
            for checkpoint in CHECKPOINTS:
                file = RunFolder(run).evaluation(checkpoint) / "summary.json"
                if file.is_file():
                    summary = read_json(file)
                    took = run / "seconds.json"
                    found.append(
                        {
                            "row": name,
                            "title": row.title,
                            "checkpoint": checkpoint,
                            "seed": summary["seed"],
                            **application.scores_of(summary),
                            "seconds": json.loads(took.read_text()) if took.is_file() else math.nan,
                            "paper": row.paper.text if row.paper else "",
                        }
                    )
    columns = ["row", "title", "checkpoint", "seed", *application.scores, "seconds", "paper"]
    written = pd.DataFrame(found, columns=columns)
    score = list(application.scores)[-1]
    last = written[written["checkpoint"] == "last"].set_index(["row", "seed"])[score]
    written["gap_closed"] = [
        gap_closed(value, *(last.get((end, seed), math.nan) for end in ("source", "oracle")))
        for value, seed in zip(written[score], written["seed"], strict=True)
    ]
    return written


def as_markdown(application: Application, rows: Table, written: pd.DataFrame) -> str:
    """Format one line per row and checkpoint: the mean over its seeds and their deviation.

    The gap closed is the mean of the gaps of the seeds. Quoted rows have the paper's value alone.
    """
    titles = ["Method", "Checkpoint", "Seeds", *application.scores.values(), "Gap closed", "Paper"]
    lines = [f"| {' | '.join(titles)} |", "|" + "---|" * len(titles)]
    for name, row in rows.items():
        paper = row.paper.text if row.paper else ""
        if isinstance(row, Quoted):
            blanks = [""] * (len(application.scores) + 1)
            lines.append(f"| {' | '.join([row.title, 'quoted', '', *blanks, paper])} |")
            continue
        for checkpoint in CHECKPOINTS:
            runs = written[(written["row"] == name) & (written["checkpoint"] == checkpoint)]
            if len(runs):
                cells = [row.title, checkpoint, str(len(runs))]
                cells += [
                    _mean_and_spread(runs[key], application.form) for key in application.scores
                ]
                cells += [_mean_and_spread(100 * runs["gap_closed"], "{:.0f}", " %"), paper]
                lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def _mean_and_spread(values: "pd.Series[float]", form: str, unit: str = "") -> str:
    if values.isna().any():
        return ""
    spread = f" ± {form.format(values.std())}" if len(values) > 1 else ""
    return form.format(values.mean()) + spread + unit


def plot(application: Application, rows: Table, written: pd.DataFrame, file: Path) -> None:
    """Plot a dot per run in the table's order, and the paper's value of that score (hollow)."""
    from matplotlib.figure import Figure  # not pyplot: no global state, and no window

    last = written[written["checkpoint"] == "last"]
    shown = [name for name in rows if name in set(last["row"])]
    figure = Figure(figsize=(7, 1 + 0.35 * len(shown)), layout="constrained")
    axes = figure.subplots()
    papers = [paper for name in shown if (paper := rows[name].paper) is not None]
    names = list(application.scores)
    key = next((n for n in reversed(names) if any(n in p.scores for p in papers)), names[-1])
    axes.plot(last[key], [shown.index(name) for name in last["row"]], "o", label="here")
    printed = [
        (paper.scores[key], place)
        for place, paper in enumerate(rows[name].paper for name in shown)
        if paper is not None and key in paper.scores
    ]
    if printed:
        axes.plot(*zip(*printed, strict=True), "o", mfc="none", color="grey", label="paper")
    axes.set_yticks(range(len(shown)), [rows[name].title for name in shown])
    axes.invert_yaxis()
    axes.set_xlabel(application.scores[key])
    axes.grid(axis="x", alpha=0.3)
    axes.legend(fontsize="small")
    with replacing(file) as temporary:
        figure.savefig(temporary, dpi=150)
