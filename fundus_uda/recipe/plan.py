"""The plan of the default recipe: which stages run, with which settings."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

import torch

from fundus_uda import weights
from fundus_uda.clinic.listing import Ids
from fundus_uda.config.read import Profile, override
from fundus_uda.data.datasets import load_samples
from fundus_uda.data.inspection import require_cups, shows_whole_photographs
from fundus_uda.data.samples import Sample, has_masks, require_masks
from fundus_uda.engine.methods import METHODS
from fundus_uda.engine.settings import MethodName
from fundus_uda.errors import InputError
from fundus_uda.rendering.scene import SMALLEST
from fundus_uda.segmentation.model import load_model
from fundus_uda.segmentation.settings import FundusSettings, read_settings

OPTIONS = {
    "seed": "--seed",
    "start": "--model",
    "data.source": "--source",
    "data.target": "--target",
    "data.test": "--target KIND:PATH",
    "data.outlined": "--outlined",
}
"""Options that give the settings which overrides may not change."""
RENDERED_EYES = 2000
"""Number of rendered eyes that stand in for a source."""
OF_THE_MODEL = ("network.encoder", "network.output_stride", "network.atrous_rates",
                "network.weights", "data.size")  # fmt: skip
"""Settings that `--model` gives."""


@dataclass(frozen=True)
class Stage:
    """One run of the chain, which starts from the network of the run before it."""

    method: MethodName
    title: str
    experiment: str
    """Name of the experiment in the settings of each profile."""


STAGES = (
    Stage("source", "Source, its discs as large as the target's", "recipe_source"),
    Stage("asa", "Affinity space alignment", "recipe_asa"),
    Stage("mean_teacher", "Mean teacher", "mean_teacher"),
)


def run_of(stage: Stage, out: Path) -> Path:
    """Return the run folder of a stage, in the folder of an adaptation."""
    return out / "stages" / f"{STAGES.index(stage) + 1}_{stage.method}"


@dataclass(frozen=True)
class Task:
    """Arguments of `adapt` (see there)."""

    target: list[str]
    out: Path
    device: torch.device
    source: str | None
    model: Path | None
    seed: int
    profile: Profile
    key: bytes | None
    overrides: tuple[str, ...]
    recursive: bool = False
    ids: Ids = "name"
    outlined: str | None = None


class Planned(NamedTuple):
    """One stage, with the folder and the settings of its run."""

    stage: Stage
    run: Path
    settings: FundusSettings


def with_source(task: Task) -> Task:
    """Return the task with rendered eyes as its source, if it has neither source nor model.

    It then starts from the network that comes with the program, unless it wants another one.
    """
    if task.source is not None or task.model is not None:
        return task
    shipped = _fits_shipped(task)
    if shipped:
        settings = load_model(weights.RENDERED, task.device).settings
    else:
        given = [("data.source", "rendered:1"), ("data.target", "folder:"), ("data.test", None)]
        settings = _read_settings(STAGES[0], task, [override(*each) for each in given])
    source = f"rendered:{RENDERED_EYES}@{max(settings.data.size, SMALLEST)}"
    return replace(task, source=source, model=weights.RENDERED if shipped else None)


def _fits_shipped(task: Task) -> bool:
    """Check whether the stages can go on from the network that comes with the program."""
    wants_another = any(_settings_in(text, OF_THE_MODEL) for text in task.overrides)
    return task.profile == "cpu" and not wants_another


def require_consistent(task: Task) -> None:
    """Check that no override is of a setting with an option.

    Raises:
        InputError: such an override.
    """
    for text in task.overrides:
        key = text.partition("=")[0]
        for name in _settings_in(text, OPTIONS):
            nested = "" if key == name else f" Set what else is below {key} one by one."
            raise InputError(f"Expected {OPTIONS[name]} in place of {name}=…. Got: {text}.{nested}")
        if task.model is not None and (names := _settings_in(text, OF_THE_MODEL)):
            raise InputError(f"Expected no {names[0]}=…, which --model gives. Got: {text}.")


def _settings_in(text: str, names: Iterable[str]) -> list[str]:
    """List the settings among `names` that an override sets, by themselves or nested."""
    key = text.partition("=")[0]
    return [name for name in names if f"{name}.".startswith(f"{key}.")]


def plan_stages(task: Task, dataset: list[Sample], crops_source: bool) -> list[Planned]:
    """Resolve the settings of all stages; each starts from the network of the one before.

    The first one starts from `task.model`, or else from the network that comes with the program,
    which has seen all sizes of cups, unless another network is wanted.

    Args:
        task: arguments of `adapt`.
        dataset: samples of a target that is a dataset, whose masks serve as test data.
        crops_source: whether the source is cropped first, into `source`.
    """
    scored = bool(dataset) and all(has_masks(sample) for sample in dataset)
    given = [
        override("seed", task.seed),
        override("data.source", task.source),
        override("data.target", f"folder:{task.out / 'target'}"),
        override("data.outlined", task.outlined),
        override("data.test", task.target[0] if scored else None),
    ]
    if crops_source:
        given.append(override("data.source", f"folder:{task.out / 'source'}"))
        given.append(override("data.source_annotation", None))  # the crops have only one
    if task.model is not None:
        given += _network_of(load_model(task.model, task.device).settings)
    plan = []
    start = weights.RENDERED if task.model is None and _fits_shipped(task) else task.model
    for stage in STAGES:
        has_no_source = task.source is None and METHODS[stage.method].needs_source
        if has_no_source or (stage is STAGES[0] and task.model is not None):
            continue
        from_start = override("start", str(start) if start else None)
        settings = _read_settings(stage, task, [*given, from_start])
        start = run_of(stage, task.out)
        plan.append(Planned(stage, start, settings))
    return plan


def _read_settings(stage: Stage, task: Task, given: list[str]) -> FundusSettings:
    return read_settings(f"{task.profile}/{stage.experiment}", [*task.overrides, *given])


def whole_source(task: Task) -> list[Sample]:
    """Load the samples of a source of whole photographs, to be cropped; none for crops.

    Rendered eyes are crops, which the first stage renders: a target may be found wrong before.
    """
    if task.source is None or task.source.startswith("rendered:"):
        return []
    target = f"folder:{task.out / 'target'}"  # which is not written yet, nor read
    data = [("data.source", task.source), ("data.target", target), ("data.test", None)]
    settings = _read_settings(STAGES[0], task, [override(*given) for given in data])
    samples = require_masks(load_samples(task.source, settings.data.source_annotation), task.source)
    require_cups(samples, task.source)
    return samples if shows_whole_photographs(samples) else []


def _network_of(settings: FundusSettings) -> list[str]:
    """Return the overrides that give a run the network and size of these settings."""
    network = settings.network
    rates = network.atrous_rates
    return [
        f"network.encoder={network.encoder}",
        f"network.output_stride={network.output_stride}",
        override("network.atrous_rates", None if rates is None else list(rates)),
        f"data.size={settings.data.size}",
    ]
