import copy
from itertools import pairwise

import pytest
import torch
from torch import nn

from fundus_uda.experiments.cost import (
    FakeTensors,
    _TensorMemory,
    cost_of_step,
    forward_gmacs,
    seconds_of_step,
)
from tests.fixtures.tiny_engine import CLASSES, settings, state

FIRST, SECOND = 3 * 8 * 9, 8 * CLASSES
"""Multiply-adds per pixel of the two convolutions of `tiny_engine.segmenter`."""
PER_PIXEL = FIRST + SECOND
SIZES = (32, 32), (32, 64)
EACH_KIND = [
    settings(method="source"),
    settings(method="oracle"),
    settings(method="adaptsegnet"),
    settings(method="asc"),
    settings(method="asa_asc", affinity={"neighbors": 4}),
    settings(method="asa", class_balance=0.5),
    settings(method="asa", adaptation={"batch_norm_statistics": "source"}),
    settings(method="self_training"),
    settings(method="cbst", adaptation={"teacher": {"keep_fraction": 0.2}}),
    settings(method="mean_teacher", adaptation={"teacher": {"keep_fraction": 0.6}}),
    settings(method="adabn"),
]


def peak_of(call) -> float:
    memory = _TensorMemory()
    with memory:
        call()
    return memory.peak


def test_the_memory_of_a_convolution_is_that_of_its_output():
    layer, image = nn.Conv2d(3, 8, 3, bias=False), torch.zeros(2, 3, 10, 10)
    with torch.no_grad():
        assert peak_of(lambda: layer(image)) == 2 * 8 * 8 * 8 * 4


def test_memory_that_is_freed_is_used_again():
    def chain():
        x = torch.zeros(1000)
        for _ in range(5):
            x = x + 1

    assert peak_of(chain) == 2 * 4000


def test_views_and_changes_in_place_cost_nothing():
    x = torch.zeros(1000)
    assert peak_of(lambda: x.view(10, 100).add_(1)) == 0


def test_a_forward_pass_by_hand():
    of = settings(method="source")
    assert forward_gmacs(state(of), *SIZES, of) == 32 * 32 * PER_PIXEL / 1e9


def test_a_method_that_adapts_sees_both_images_and_its_discriminator_their_maps():
    pixels = 32 * 32 + 32 * 64
    asc, asa = settings(method="asc"), settings(method="asa")
    without = forward_gmacs(state(asc), *SIZES, asc)
    assert without == pytest.approx(pixels * PER_PIXEL / 1e9)
    built = state(asa)
    by_hand = 0
    for height, width in SIZES:
        for layer in built.discriminator.modules():
            if isinstance(layer, nn.Conv2d):
                height, width = height // 2, width // 2  # each has a stride of 2
                by_hand += height * width * layer.weight.numel()
    assert forward_gmacs(built, *SIZES, asa) == pytest.approx(without + by_hand / 1e9)


def test_a_discriminator_sees_maps_reduced_by_the_stride_of_the_affinity():
    whole, reduced = (settings(affinity={"stride": stride}) for stride in (1, 2))
    doubled = tuple((2 * height, 2 * width) for height, width in SIZES)
    of_discriminator = forward_gmacs(state(whole), *SIZES, whole) - sum(
        height * width * PER_PIXEL / 1e9 for height, width in SIZES
    )
    of_segmenter = sum(height * width * PER_PIXEL / 1e9 for height, width in doubled)
    counted = forward_gmacs(state(reduced), *doubled, reduced)
    assert counted == pytest.approx(of_segmenter + of_discriminator)


def test_a_step_of_training_by_hand():
    """Forward, and backward to the weights of both layers but to the input of the second alone."""
    of = settings(method="source", batch_size=4)
    gflops, _ = cost_of_step(state(of), *SIZES, of)
    assert gflops == pytest.approx(4 * 32 * 32 * 2 * (2 * FIRST + 3 * SECOND) / 1e9)


def test_eight_neighbours_cost_more_than_four_and_a_discriminator_more_than_none():
    costs = []
    for method, neighbors in (("source", 8), ("asa", 4), ("asa", 8)):
        of = settings(method=method, affinity={"neighbors": neighbors})
        costs.append((*cost_of_step(state(of), *SIZES, of), forward_gmacs(state(of), *SIZES, of)))
    for less, more in pairwise(costs):
        assert all(one < other for one, other in zip(less, more, strict=True))


@pytest.mark.parametrize("of", EACH_KIND, ids=lambda of: of.method)
def test_tensors_without_values_cost_what_real_ones_cost(of):
    without_values, real = state(of), state(of)
    with FakeTensors():
        counted = forward_gmacs(without_values, *SIZES, of)
        gflops, megabytes = cost_of_step(without_values, *SIZES, of)
    assert counted == forward_gmacs(real, *SIZES, of) > 0
    of_real = cost_of_step(real, *SIZES, of)
    assert gflops == of_real[0] > 0
    assert megabytes == pytest.approx(of_real[1], rel=0.02)


@pytest.mark.parametrize("of", EACH_KIND, ids=lambda of: of.method)
def test_the_networks_are_untouched_by_a_step_without_values(of):
    built = state(of)
    networks = [n for n in (built.segmenter, built.discriminator, built.teacher) if n is not None]
    before = [copy.deepcopy(network.state_dict()) for network in networks]
    with FakeTensors():
        cost_of_step(built, *SIZES, of)
    for network, kept in zip(networks, before, strict=True):
        assert all(type(parameter) is nn.Parameter for parameter in network.parameters())
        for name, tensor in network.state_dict().items():
            if tensor.is_floating_point():  # not the counters of batch normalisation
                assert torch.equal(tensor, kept[name]), name
    assert torch.zeros(2).add(1).tolist() == [1, 1]  # real again


def test_the_seconds_are_those_of_the_second_step(monkeypatch):
    """The first one makes the buffers of the optimisers."""
    of, times = settings(method="asc"), iter((10.0, 12.5))
    built = state(of)
    monkeypatch.setattr("fundus_uda.experiments.cost.time.perf_counter", lambda: next(times))
    assert seconds_of_step(built, *SIZES, of) == 2.5
    assert built.step == 2
