from functools import partial

import torch
from torch import nn

from fundus_uda.engine.step import adaptation_step
from fundus_uda.experiments.cost import cost_of
from tests.engine.test_step import batches
from tests.fixtures.tiny_engine import settings, state


def test_a_convolution_by_hand():
    layer, image = nn.Conv2d(3, 8, 3, bias=False), torch.zeros(2, 3, 10, 10)
    with torch.no_grad():
        cost = cost_of(lambda: layer(image))
    outputs = 2 * 8 * 8 * 8
    assert cost.gflops == outputs * 3 * 3 * 3 * 2 / 1e9
    assert cost.peak_megabytes == outputs * 4 / 1e6


def test_memory_that_is_freed_is_used_again():
    def chain():
        x = torch.zeros(1000)
        for _ in range(5):
            x = x + 1

    assert cost_of(chain).peak_megabytes == 2 * 4000 / 1e6


def test_views_and_changes_in_place_cost_nothing():
    x = torch.zeros(1000)
    assert cost_of(lambda: x.view(10, 100).add_(1)).peak_megabytes == 0


def test_eight_neighbours_cost_more_than_four_and_a_discriminator_more_than_none():
    costs = []
    for method, neighbors in (("source", 8), ("asa", 4), ("asa", 8)):
        of = settings(method=method, affinity={"neighbors": neighbors})
        trained = state(of)
        source, target = batches()
        target = target if method == "asa" else None
        adaptation_step(trained, source, target, of)
        costs.append(cost_of(partial(adaptation_step, trained, source, target, of)))
    assert costs[0].gflops < costs[1].gflops < costs[2].gflops
    assert costs[0].peak_megabytes < costs[1].peak_megabytes < costs[2].peak_megabytes
