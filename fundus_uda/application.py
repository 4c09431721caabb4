"""The paper's tables on the optic disc and cup (see `reproduction`)."""

from pathlib import Path
from typing import Any

import torch

from fundus_uda.engine.config import Profile, in_profile, override
from fundus_uda.metrics import DICE
from fundus_uda.model import load_model
from fundus_uda.recipe import reason_against, scored
from fundus_uda.settings import FundusSettings, read_settings
from fundus_uda.tables import TABLES, Application
from fundus_uda.training import step_cost, train
from fundus_uda.translated_source import write_translated_source
from fundus_uda.translation.settings import TranslationSettings


def _read_settings(config: str, profile: Profile, overrides: list[str]) -> FundusSettings:
    return read_settings(in_profile(f"fundus/{config}", profile), overrides)


def _dice(summary: dict[str, Any]) -> dict[str, float]:
    return {key: summary[key]["mean"] for key in DICE}


def _translate(
    translation: TranslationSettings,
    settings: FundusSettings,
    out: Path,
    device: torch.device,
    continue_run: bool,
) -> None:
    annotation = settings.data.source_annotation
    write_translated_source(translation, annotation, out, device, continue_run)


def _translated(_: FundusSettings, out: Path) -> list[str]:
    return [override("data.source", f"folder:{out}"), override("data.source_annotation", None)]


def _weigh(first: Path, second: Path, device: torch.device) -> tuple[str, dict[str, Any]]:
    """As the recipe decides."""
    models = {run.name: load_model(run, device) for run in (first, second)}
    settings = models[second.name].settings
    figures = {name: scored(model, settings, device) for name, model in models.items()}
    return reason_against(figures[second.name], figures[first.name]), figures


FUNDUS = Application(
    tables=TABLES,
    scores=dict(zip(DICE, ("Dice cup", "Dice disc", "Mean"), strict=True)),
    form="{:.3f}",
    axis="Mean Dice of cup and disc",
    comparable=tuple,
    comparable_on="REFUGE to RIM-ONE-r3",
    read_settings=_read_settings,
    scores_of=_dice,
    train=train,
    step_cost=step_cost,
    translate=_translate,
    translated=_translated,
    weigh=_weigh,
)
