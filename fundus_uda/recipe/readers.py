"""The end of an adaptation with outlined photographs: it outlines as their readers do."""

from pathlib import Path
from typing import Any

from fundus_uda.data.inspection import load_labelled
from fundus_uda.data.samples import Sample
from fundus_uda.masks.dice import DICE
from fundus_uda.output import note
from fundus_uda.recipe.judging import scored
from fundus_uda.recipe.plan import Task
from fundus_uda.segmentation.adjustment import FEWEST, fit_adjustment, write_adjusted
from fundus_uda.segmentation.evaluation import evaluate
from fundus_uda.segmentation.model import load_model
from fundus_uda.segmentation.settings import FundusSettings

ADJUSTED = Path("stages") / "adjusted.pt"
"""Adjusted network in the folder of an adaptation."""


def adjust_to_readers(
    task: Task, kept: Path, settings: FundusSettings, reference: list[Sample] | None
) -> tuple[dict[str, Any], Path]:
    """Adjust the kept network to the outlined photographs, as far as these agree.

    Args:
        task: arguments of `adapt`, with outlined photographs.
        kept: network of the stage that is kept.
        settings: settings of a run that names the target's photographs.
        reference: photographs with masks to score on; None for none.

    Returns:
        Columns of `stages.csv` for the adjusted network; and that network, or `kept` where there is
        a reason to leave it as it is.
    """
    assert task.outlined is not None
    samples = load_labelled(task.outlined)
    by = fit_adjustment(load_model(kept, task.device), samples)
    row: dict[str, Any] = {"stage": "adjusted", "title": "Outlines as the readers draw them"}
    if not any(by):
        reason = f"The {len(samples)} outlined photographs do not agree that borders are off."
        if len(samples) < FEWEST:
            reason = f"Photographs outlined: {len(samples)}, of at least {FEWEST}."
        return row | {"left_out": True, "reason": reason}, kept
    note(
        f"By {len(samples)} outlined photographs, log-odds are moved by {by.disc:+.2f} (disc) and "
        f"{by.cup:+.2f} (cup)."
    )
    write_adjusted(kept, by, task.out / ADJUSTED)
    model = load_model(task.out / ADJUSTED, task.device)
    if reference is not None:
        scores = evaluate(model, reference)
        row |= {name: scores[name].mean() for name in DICE}
    judged = scored(model, settings, sizes_not_matched="")
    del judged["sizes_not_matched"]  # as it is in the stage that is kept
    return row | judged, task.out / ADJUSTED
