"""The bound on the time of a step; `pytest tests/segmentation/test_speed.py -s` prints it."""

import time
from statistics import median

import pytest
import torch

from fundus_uda.engine.batches import Batch
from fundus_uda.engine.step import adaptation_step
from fundus_uda.segmentation.settings import read_settings
from fundus_uda.segmentation.training import initial_state

PAIRS = 5


@pytest.mark.slow
def test_an_asa_step_costs_at_most_a_tenth_more_than_an_adaptsegnet_step(monkeypatch):
    """At the CPU profile, with the paper's stride: the median of a fixed number of ratios of CPU
    seconds, in turn."""
    monkeypatch.setenv("FUNDUS_UDA_DATA", "/data")
    names = ("adaptsegnet", "asa")
    settings = {
        name: read_settings(f"cpu/{name}", ["start=null", "affinity.stride=1"]) for name in names
    }
    states = {
        name: initial_state(settings[name], torch.ones(3), torch.device("cpu")) for name in names
    }
    generator = torch.Generator().manual_seed(0)
    image = torch.randn(8, 3, 256, 256, generator=generator)
    image = image.contiguous(memory_format=torch.channels_last)
    label = torch.randint(0, 3, (8, 256, 256), generator=generator)

    def seconds(name: str) -> float:
        start = time.process_time()
        adaptation_step(states[name], Batch(image, label), Batch(image, None), settings[name])
        return time.process_time() - start

    for name in names:
        seconds(name)  # until memory is reused
    ratios = [seconds("asa") / seconds("adaptsegnet") for _ in range(PAIRS)]
    print([round(ratio, 3) for ratio in ratios])
    assert median(ratios) <= 1.10
