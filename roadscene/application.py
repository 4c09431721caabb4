"""The road-scene application, for the shared commands and the paper's tables."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from fundus_uda.config.read import Profile
from fundus_uda.experiments.tables import Application, when_called
from fundus_uda.translation.settings import TranslationSettings
from roadscene.settings import read_settings

if TYPE_CHECKING:
    import torch


def _in_profile(experiment: str, profile: Profile) -> str:
    return f"cpu/{experiment}" if profile == "cpu" else f"gta5/resnet101_{experiment}"


def _miou(summary: dict[str, Any]) -> dict[str, float]:
    """Return percent mIoU of as many classes as the model has, and of the 13 that all have."""
    return {
        "miou": 100 * summary[str(summary["classes"])]["miou"],
        "miou_13": 100 * summary["13"]["miou"],
    }


def _translate(
    settings: TranslationSettings,
    _: str | None,
    out: Path,
    device: "torch.device",
    continue_run: bool,
) -> str:
    from roadscene.translated_source import write_translated_source

    return write_translated_source(settings, out, device, continue_run)


ROADSCENE = Application(
    group="roadscene",
    has_annotations=False,
    scores={"miou_13": "mIoU*", "miou": "mIoU"},
    scores_of=_miou,
    form="{:.1f}",
    tables=when_called("roadscene.paper_tables", "tables"),
    in_profile=_in_profile,
    read_settings=read_settings,
    train=when_called("roadscene.training", "train"),
    step_cost=when_called("roadscene.training", "step_cost"),
    step_seconds=when_called("roadscene.training", "step_seconds"),
    translation_profile={"cpu": "cpu", "paper": "streets"}.__getitem__,
    translate=_translate,
    translated_uri=when_called("roadscene.translated_source", "translated_uri"),
    draw=when_called("roadscene.figures", "draw_results"),
    compare=when_called("roadscene.comparison", "compare"),
    as_markdown=when_called("roadscene.comparison", "as_markdown"),
    demo=when_called("roadscene.demo", "run_demo"),
)
