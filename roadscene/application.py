"""The road-scene application, for the shared commands and the paper's tables."""

from pathlib import Path
from typing import Any

import torch

from fundus_uda.config.read import Profile
from fundus_uda.experiments.tables import Application
from fundus_uda.translation.settings import TranslationSettings
from roadscene.comparison import as_markdown, compare
from roadscene.demo import run_demo
from roadscene.figures import draw_results
from roadscene.paper_tables import tables
from roadscene.settings import read_settings
from roadscene.training import step_cost, step_seconds, train
from roadscene.translated_source import translated_uri, write_translated_source


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
    device: torch.device,
    continue_run: bool,
) -> str:
    return write_translated_source(settings, out, device, continue_run)


ROADSCENE = Application(
    group="roadscene",
    has_annotations=False,
    scores={"miou_13": "mIoU*", "miou": "mIoU"},
    scores_of=_miou,
    form="{:.1f}",
    tables=tables,
    in_profile=_in_profile,
    read_settings=read_settings,
    train=train,
    step_cost=step_cost,
    step_seconds=step_seconds,
    translation_profile={"cpu": "cpu", "paper": "streets"}.__getitem__,
    translate=_translate,
    translated_uri=translated_uri,
    draw=draw_results,
    compare=compare,
    as_markdown=as_markdown,
    demo=run_demo,
)
