"""The fundus application, as the shared commands and the paper's tables need it."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from fundus_uda.config.read import Profile
from fundus_uda.experiments.tables import Application, when_called
from fundus_uda.segmentation.settings import read_settings

if TYPE_CHECKING:
    import torch


def _in_profile(experiment: str, profile: Profile) -> str:
    return f"{profile}/{experiment}"


def _translated_uri(_: str, out: Path) -> str:
    return f"folder:{out}"


def _select_without_labels(
    runs: list[Path], device: "torch.device"
) -> tuple[Path, str, dict[str, Any]]:
    """Decide between runs as the default recipe does.

    Returns:
        The chosen run; the reason to reject the next, empty for none; the scores by run.
    """
    from fundus_uda.recipe.judging import reason_to_reject, scored
    from fundus_uda.segmentation.model import load_model
    from fundus_uda.segmentation.size_match import reason_left_as_it_is

    models = {run: load_model(run, device) for run in runs}
    settings = models[runs[-1]].settings
    rows = {}
    kept, reason = runs[0], ""
    for run in runs:
        rows[run] = scored(models[run], settings, reason_left_as_it_is(run), [])
        if run != kept and (reason := reason_to_reject(rows[run], rows[kept], 0)):
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
    train=when_called("fundus_uda.segmentation.training", "train"),
    step_cost=when_called("fundus_uda.segmentation.training", "step_cost"),
    step_seconds=when_called("fundus_uda.segmentation.training", "step_seconds"),
    has_annotations=True,
    draw=when_called("fundus_uda.segmentation.figures", "draw_results"),
    compare=when_called("fundus_uda.segmentation.comparison", "compare"),
    as_markdown=when_called("fundus_uda.segmentation.comparison", "as_markdown"),
    translation_profile=str,
    translate=when_called("fundus_uda.segmentation.translated_source", "write_translated_source"),
    translated_uri=_translated_uri,
    demo=when_called("fundus_uda.demo", "run_demo"),
    tables=when_called("fundus_uda.paper_tables", "tables"),
    select_without_labels=_select_without_labels,
    scores={"dice_cup": "Dice cup", "dice_disc": "Dice disc", "dice_mean": "Mean Dice"},
    scores_of=when_called("fundus_uda.segmentation.comparison", "mean_scores"),
    form="{:.3f}",
)
