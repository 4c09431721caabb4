"""The paper's Tables III to V on street scenes (see `fundus_uda.reproduction`)."""

from pathlib import Path
from typing import Any

import torch

from fundus_uda.engine.config import Profile, override
from fundus_uda.tables import TABLES, Application
from fundus_uda.translation.settings import TranslationSettings
from roadscene.settings import RoadSettings, read_settings
from roadscene.training import step_cost, train
from roadscene.translated_source import translated_address, write_translated_source

SETTINGS: dict[Profile, str] = {"cpu": "roadscene/cpu", "paper": "roadscene/gta5/resnet101_source"}


def _read_settings(method: str, profile: Profile, overrides: list[str]) -> RoadSettings:
    return read_settings(SETTINGS[profile], [f"method={method}", *overrides])


def _miou(summary: dict[str, Any]) -> dict[str, float]:
    """In per cent, of as many classes as the model has."""
    return {"miou": 100 * summary[str(summary["classes"])]["miou"]}


def _translate(
    translation: TranslationSettings,
    _: RoadSettings,
    out: Path,
    device: torch.device,
    continue_run: bool,
) -> None:
    write_translated_source(translation, out, device, continue_run)


def _translated(settings: RoadSettings, out: Path) -> list[str]:
    return [override("data.source", translated_address(settings.data.source, out))]


ROADSCENE = Application(
    tables={name: rows for name, rows in TABLES.items() if name != "table7"},
    scores={"miou": "mIoU"},
    form="{:.1f}",
    axis="mIoU (%)",
    comparable=float,
    comparable_on="GTA5 to Cityscapes",
    read_settings=_read_settings,
    scores_of=_miou,
    train=train,
    step_cost=step_cost,
    translate=_translate,
    translated=_translated,
)
