"""The end of an adaptation: its target is outlined, before and after, with a note to readers."""

import shutil
from pathlib import Path
from typing import Any

import pandas as pd

from fundus_uda.clinic.predict import predict
from fundus_uda.data.samples import Sample
from fundus_uda.errors import InputError
from fundus_uda.files import read_json
from fundus_uda.recipe.plan import Task
from fundus_uda.segmentation.model import load_model
from fundus_uda.unfinished import is_unfinished


def outline_target(
    task: Task,
    photographs: list[Path],
    first: Path,
    kept: Path,
    reference: list[Sample] | None,
    table: pd.DataFrame,
) -> None:
    """Outline the photographs with the first network and with the kept one, unless that is done.

    Writes `before` and `predictions`, whose report has both, and a note on what `table` tells.

    Args:
        task: arguments of `adapt`.
        photographs: what to outline.
        first: network before the adaptation.
        kept: network of the stage that is kept.
        reference: photographs with masks to score on; None for none.
        table: `stages.csv`.
    """
    before = task.out / "before"
    beside: dict[str, Any] = {"before": before, "note": _note(table), "reference": reference}
    for run, folder, more in ((first, before, {}), (kept, task.out / "predictions", beside)):
        if not _is_outlined(folder, more.get("note", "")):
            if not is_unfinished(folder):
                shutil.rmtree(folder, ignore_errors=True)  # of another decision
            where: dict[str, Any] = {"recursive": task.recursive, "ids": task.ids}
            predict(load_model(run, task.device), photographs, folder, task.key, **more, **where)


def left_out(table: pd.DataFrame) -> list[str]:
    """Say of each stage in `stages.csv` that is left out, why."""
    rows = table[table["left_out"]]
    return [
        f"{title}: {reason} The network before it is used."
        for title, reason in zip(rows["title"], rows["reason"], strict=True)
    ]


def _note(table: pd.DataFrame) -> str:
    """Write a note to readers of the report: what was left out, what the network is adjusted to.

    The outlines of another decision have another note (see `_is_outlined`).
    """
    used = table[~table["left_out"]].iloc[-1]
    told = left_out(table)
    if used["stage"] == "adjusted":
        told.append(f"{used['title']}.")
    if used["collapsed"]:
        told.append("The prediction on these photographs collapsed. Do not trust it.")
    if reason := used["sizes_not_matched"]:
        told.append(f"The source's discs were shown as large as they are: {reason}.")
    return " ".join(told)


def _is_outlined(folder: Path, note: str) -> bool:
    """Check whether `predict` has written everything, with this note."""
    summary = folder / "summary.json"
    if not (folder / "report.html").is_file() or not summary.is_file():
        return False
    try:
        return read_json(summary).get("note") == note
    except InputError:  # cut off
        return False
