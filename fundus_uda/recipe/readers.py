"""The end of an adaptation with outlined photographs: it outlines as their readers do."""

from pathlib import Path
from typing import Any

from fundus_uda.data.samples import Sample
from fundus_uda.engine.run_folder import RunFolder
from fundus_uda.masks.dice import DICE
from fundus_uda.recipe.judging import reason_to_reject, scored
from fundus_uda.recipe.plan import Task
from fundus_uda.segmentation.adjustment import FEWEST, fit_adjustment, write_adjusted
from fundus_uda.segmentation.evaluation import write_scores
from fundus_uda.segmentation.model import load_model
from fundus_uda.segmentation.settings import FundusSettings

ADJUSTED = Path("stages") / "adjusted"
"""Run folder of the adjusted network, in the folder of an adaptation."""


def adjust_to_readers(
    task: Task,
    kept: Path,
    before: dict[str, Any],
    settings: FundusSettings,
    outlined: list[Sample],
    reference: list[Sample] | None,
) -> tuple[dict[str, Any], Path]:
    """Adjust the kept network to the outlined photographs, as far as these agree.

    Args:
        task: arguments of `adapt`.
        kept: network of the stage that is kept.
        before: row of that stage, with the output of `judging.scored`.
        settings: settings of a run that names the target's photographs.
        outlined: outlined photographs.
        reference: photographs with masks to score on; None for none.

    Returns:
        Columns of `stages.csv` for the adjusted network; and that network, or `kept` where there is
        a reason to leave it as it is.
    """
    assert task.outlined is not None
    by = fit_adjustment(load_model(kept, task.device), outlined)
    row: dict[str, Any] = {"stage": "adjusted", "title": "Adjusted to the readers' outlines"}
    row["sizes_not_matched"] = before["sizes_not_matched"]
    if not any(by):
        reason = "They do not agree on a direction in which borders are off."
        if len(outlined) < FEWEST:
            reason = (
                f"There are {len(outlined)}, and at least {FEWEST} tell where borders are drawn."
            )
        return row | {"left_out": True, "reason": reason}, kept
    run = task.out / ADJUSTED
    run.mkdir(exist_ok=True)
    write_adjusted(kept, by, outlined, task.outlined, run / "last.pt")
    model = load_model(run, task.device)
    moved = f"log-odds of disc {by.disc:+.2f}, of cup {by.cup:+.2f}"
    row["title"] += f" ({len(outlined)} photographs, {moved})"
    if reference is not None:
        scores = write_scores(model, reference, settings.data, RunFolder(run).evaluation("last"))
        row |= {name: scores[name]["mean"] for name in DICE}
    row |= scored(model, settings, row["sizes_not_matched"], outlined)
    if reason := reason_to_reject(row, before, len(outlined)):
        return row | {"left_out": True, "reason": reason}, kept
    return row, run
