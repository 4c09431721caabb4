"""The fundus application, as the shared commands and the paper's tables need it."""

from pathlib import Path
from typing import Any

import torch

from fundus_uda.config.read import Profile
from fundus_uda.demo import run_demo
from fundus_uda.experiments.tables import Application
from fundus_uda.masks.dice import DICE
from fundus_uda.paper_tables import tables
from fundus_uda.recipe.adapt import reason_to_reject, scored
from fundus_uda.segmentation.comparison import as_markdown, compare, mean_scores
from fundus_uda.segmentation.figures import draw_results
from fundus_uda.segmentation.model import load_model
from fundus_uda.segmentation.settings import read_settings
from fundus_uda.segmentation.size_match import reason_left_as_it_is
from fundus_uda.segmentation.training import step_cost, step_seconds, train
from fundus_uda.segmentation.translated_source import write_translated_source


def _in_profile(experiment: str, profile: Profile) -> str:
    return f"{profile}/{experiment}"


def _translated_uri(_: str, out: Path) -> str:
    return f"folder:{out}"


def _select_without_labels(
    runs: list[Path], device: torch.device
) -> tuple[Path, str, dict[str, Any]]:
    """Decide between runs as the default recipe does.

    Returns:
        The chosen run; the reason to reject the next, empty for none; the scores by run.
    """
    settings = load_model(runs[-1], device).settings
    rows = {}
    kept, reason = runs[0], ""
    for run in runs:
        rows[run] = scored(load_model(run, device), settings, reason_left_as_it_is(run))
        if run != kept and (reason := reason_to_reject(rows[run], rows[kept])):
            break
        kept = run
    numbers = {
        run.name: row | {"estimates": row["estimates"].tolist()} for run, row in rows.items()
    }
    return kept, reason, numbers


FUNDUS = Application(
    group="fundus",
    in_profile=_in_profile,
    read_settings=read_settings,
    train=train,
    step_cost=step_cost,
    step_seconds=step_seconds,
    has_annotations=True,
    draw=draw_results,
    compare=compare,
    as_markdown=as_markdown,
    translation_profile=str,
    translate=write_translated_source,
    translated_uri=_translated_uri,
    demo=run_demo,
    tables=tables,
    select_without_labels=_select_without_labels,
    scores=dict(zip(DICE, ("Dice cup", "Dice disc", "Mean Dice"), strict=True)),
    scores_of=mean_scores,
    form="{:.3f}",
)
