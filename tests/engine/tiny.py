"""A network and data small enough for a step in milliseconds."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType

import pytest
import torch
from torch import Tensor, nn

from fundus_uda.engine import loop
from fundus_uda.engine.batches import SampleKey
from fundus_uda.engine.config import EngineSettings
from fundus_uda.engine.methods import METHODS
from fundus_uda.engine.runlog import RunFolder
from fundus_uda.engine.selection import SelectionScore
from fundus_uda.engine.state import ParameterGroup, TrainState, build_state

CLASSES = 3


class TinyImages:
    """Random 32x32 images whose brightness is their label, shifted by `shift` in the target."""

    def __init__(self, length: int, shift: float = 0.0, labelled: bool = True) -> None:
        self.length, self.shift, self.labelled = length, shift, labelled

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, key: SampleKey) -> dict[str, Tensor]:
        fixed = torch.Generator().manual_seed(key.sample)
        label = torch.randint(0, CLASSES, (4, 4), generator=fixed)
        label = label.repeat_interleave(8, dim=0).repeat_interleave(8, dim=1)
        noise = torch.Generator().manual_seed(key.seed)
        image = label[None].expand(3, 32, 32) / CLASSES + self.shift
        image = image + 0.1 * torch.randn(3, 32, 32, generator=noise)
        return {"image": image, "label": label} if self.labelled else {"image": image}


def settings(**changes) -> EngineSettings:
    values = {"method": "asa", "steps": 7, "batch_size": 4, "snapshot_every": 3, "seed": 1}
    values["segmenter"] = {"lr": 0.05}
    return EngineSettings.model_validate({**values, **changes})


def segmenter() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1),
        nn.BatchNorm2d(8),
        nn.ReLU(),
        nn.Dropout(0.5),
        nn.Conv2d(8, CLASSES, 1),
    )


def state(of: EngineSettings) -> TrainState:
    network = segmenter()
    groups = [ParameterGroup(list(network.parameters()), 1.0)]
    shares = torch.full((CLASSES,), 1 / CLASSES)
    return build_state(network, groups, shares, of, torch.device("cpu"))


def run(train_state: TrainState, of: EngineSettings, folder: Path, collapsed=False) -> RunFolder:
    """The loop on tiny data, with a score that grows with the step."""
    run_folder = RunFolder(folder)
    if train_state.step == 0:
        run_folder.begin(of, torch.device("cpu"))

    def score() -> SelectionScore:
        return SelectionScore(train_state.step / 100, 2.0, collapsed)

    source, target = TinyImages(5), TinyImages(3, shift=0.5, labelled=False)
    target = target if METHODS[of.method].adapts else None
    loop.run(train_state, source, target, of, run_folder, score, {"source": "s"})
    return run_folder


@contextmanager
def power_failure(module: ModuleType, step_name: str, at: int) -> Iterator[None]:
    """What runs inside stops before step `at` of `module.step_name(state, ...)`, and must."""
    step = getattr(module, step_name)

    def until_the_power_fails(state, *arguments):
        if state.step == at:
            raise KeyboardInterrupt
        return step(state, *arguments)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, step_name, until_the_power_fails)
        with pytest.raises(KeyboardInterrupt):
            yield


def tensors(contents, prefix=""):
    """Every tensor and number of nested checkpoint contents, by its path."""
    found = {}
    items = contents.items() if isinstance(contents, dict) else enumerate(contents)
    for key, value in items:
        name = f"{prefix}/{key}"
        if isinstance(value, dict | list | tuple):
            found |= tensors(value, name)
        else:
            found[name] = value
    return found


def assert_identical(one, other) -> None:
    """Bit for bit, on every tensor and number."""
    one, other = tensors(one), tensors(other)
    assert one.keys() == other.keys()
    for name, value in one.items():
        if isinstance(value, Tensor):
            assert torch.equal(value, other[name]), name
        else:
            assert value == other[name], name
