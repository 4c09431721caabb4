"""The road-scene application, for the shared commands and the paper's tables."""

from pathlib import Path
from typing import Any

import torch

from fundus_uda.config.read import Profile
from fundus_uda.experiments.tables import TABLES, Application
from fundus_uda.translation.settings import TranslationSettings
from roadscene.comparison import as_markdown, compare
from roadscene.demo import run_demo
from roadscene.figures import draw_results
from roadscene.settings import read_settings
from roadscene.training import step_cost, train
from roadscene.translated_source import translated_uri, write_translated_source


def _in_profile(experiment: str, profile: Profile) -> str:
    if profile == "cpu":
        return f"cpu/{experiment}"
    return f"gta5/resnet101_{'asa_st' if experiment == 'self_training' else experiment}"


def _miou(summary: dict[str, Any]) -> dict[str, float]:
    """Return mIoU in percent, over as many classes as the model has."""
    return {"miou": 100 * summary[str(summary["classes"])]["miou"]}


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
    in_profile=_in_profile,
    read_settings=read_settings,
    train=train,
    step_cost=step_cost,
    compare=compare,
    as_markdown=as_markdown,
    draw=draw_results,
    translate=_translate,
    translated_uri=translated_uri,
    demo=run_demo,
    tables=TABLES,
    scores={"miou": "mIoU"},
    scores_of=_miou,
    form="{:.1f}",
    axis="mIoU (%)",
    comparable=float,
    comparable_on="GTA5 to Cityscapes",
)
