"""What the state is built of: every rate, momentum and decay of the settings has its effect."""

import copy

import pytest
import torch
from torch.nn import functional as F

from fundus_uda.engine.randomness import seed_torch
from fundus_uda.engine.state import ParameterGroup, build_state
from fundus_uda.engine.step import adaptation_step
from tests.engine.test_step import batches
from tests.fixtures.tiny_engine import CLASSES, CPU, segmenter, settings, state

SGD = {"lr": 0.05, "momentum": 0.7, "weight_decay": 0.02}
ADAM = {"lr": 3e-3, "betas": [0.6, 0.8]}


def test_hyperparameters_reach_the_parameter_groups():
    built = state(settings(segmenter=SGD, discriminator=ADAM))
    assert type(built.segmenter_optimizer) is torch.optim.SGD
    assert type(built.discriminator_optimizer) is torch.optim.Adam
    (sgd,) = built.segmenter_optimizer.param_groups
    (adam,) = built.discriminator_optimizer.param_groups
    assert [sgd[key] for key in ("lr", "base_lr", "momentum")] == [0.05, 0.05, 0.7]
    assert (sgd["weight_decay"], sgd["nesterov"], sgd["dampening"]) == (0.02, False, 0)
    assert [adam[key] for key in ("lr", "base_lr", "weight_decay")] == [3e-3, 3e-3, 0]
    assert tuple(adam["betas"]) == (0.6, 0.8)


def test_without_settings_they_are_the_papers():
    built = state(settings(segmenter={}))
    (sgd,) = built.segmenter_optimizer.param_groups
    (adam,) = built.discriminator_optimizer.param_groups
    assert [sgd[key] for key in ("base_lr", "momentum", "weight_decay")] == [2.5e-4, 0.9, 5e-4]
    assert (adam["base_lr"], *adam["betas"]) == (1e-4, 0.9, 0.99)


def test_every_group_has_its_own_rate_and_the_same_momentum():
    network, of = segmenter(), settings(segmenter=SGD)
    groups = [
        ParameterGroup(list(network[0].parameters()), 1.0),
        ParameterGroup([p for layer in network[1:] for p in layer.parameters()], 10.0),
    ]
    built = build_state(network, groups, torch.ones(CLASSES), of, CPU)
    body, head = built.segmenter_optimizer.param_groups
    assert (body["base_lr"], head["base_lr"]) == (0.05, 0.5)
    assert {(g["momentum"], g["weight_decay"]) for g in (body, head)} == {(0.7, 0.02)}
    assert len(body["params"]) + len(head["params"]) == len(list(network.parameters()))


def test_two_steps_are_sgd_with_momentum_and_weight_decay_written_out():
    """v = momentum v + (gradient + decay w), w = w - lr v, at the rate of each step."""
    of = settings(method="source", segmenter=SGD, steps=4, poly_power=1.0)
    trained, by_hand = state(of), state(of).segmenter.train()
    source, _ = batches()
    velocity = [torch.zeros_like(w) for w in by_hand.parameters()]
    for step, lr in enumerate((0.05, 0.05 * 0.75)):
        adaptation_step(trained, source, None, of)
        seed_torch(of.seed, "step", step)
        loss = F.cross_entropy(by_hand(source.image), source.label)
        gradients = torch.autograd.grad(loss, list(by_hand.parameters()))
        with torch.no_grad():
            for w, g, v in zip(by_hand.parameters(), gradients, velocity, strict=True):
                v.mul_(0.7).add_(g + 0.02 * w)
                w.sub_(lr * v)
    for ours, theirs in zip(trained.segmenter.parameters(), by_hand.parameters(), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-6)


def test_two_steps_of_the_discriminator_are_adam_with_its_betas_written_out():
    """m and v are running means of gradient and square, each over 1 - beta^t, at each step's rate.

    The written-out discriminator gets the gradients that the trained one has had.
    """
    of = settings(discriminator=ADAM, steps=4, poly_power=1.0)
    trained = state(of)
    beta_1, beta_2 = ADAM["betas"]
    w = copy.deepcopy(trained.discriminator.layers[-1].weight.detach())
    m, v = torch.zeros_like(w), torch.zeros_like(w)
    gradients = gradients_of(trained.discriminator.layers[-1].weight, trained)
    source, target = batches()
    for step, lr in enumerate((3e-3, 3e-3 * 0.75)):
        adaptation_step(trained, source, target, of)
        g = gradients[step]
        m, v = beta_1 * m + (1 - beta_1) * g, beta_2 * v + (1 - beta_2) * g**2
        unbiased_m = m / (1 - beta_1 ** (step + 1))
        unbiased_v = v / (1 - beta_2 ** (step + 1))
        w = w - lr * unbiased_m / (unbiased_v.sqrt() + 1e-8)
    ours = trained.discriminator.layers[-1].weight.detach()
    torch.testing.assert_close(ours, w, rtol=1e-4, atol=1e-6)


def gradients_of(weight, trained):
    """A list that gets the weight's gradient before each step of its optimiser."""
    seen = []
    trained.discriminator_optimizer.register_step_pre_hook(
        lambda *_: seen.append(weight.grad.clone())
    )
    return seen


def test_the_rates_of_both_optimisers_follow_poly_lr():
    of = settings(segmenter=SGD, discriminator=ADAM, steps=4, poly_power=0.9)
    trained = state(of)
    source, target = batches()
    rates = []
    for _ in range(4):
        adaptation_step(trained, source, target, of)
        optimizers = (trained.segmenter_optimizer, trained.discriminator_optimizer)
        rates.append([optimizer.param_groups[0]["lr"] for optimizer in optimizers])
    shares = [(1 - step / 4) ** 0.9 for step in range(4)]
    assert rates == [pytest.approx([0.05 * share, 3e-3 * share]) for share in shares]
