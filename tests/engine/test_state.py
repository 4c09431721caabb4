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
PRECISIONS = ("float32", "bfloat16", "float16")
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


def test_all_that_changes_in_training_is_saved_and_restored():
    of = settings(method="mean_teacher")
    saved, fresh = state(of), state(of)
    saved.step, saved.selected_step, saved.selected_score = 5, 4, 0.75
    saved.label_shares = torch.tensor([0.5, 0.25, 0.25])
    saved.class_thresholds = torch.tensor([0.9, 0.8, 0.7])
    with torch.no_grad():
        saved.teacher[4].weight.add_(1)
    fresh.load_state_dict(copy.deepcopy(saved.state_dict()))
    assert (fresh.step, fresh.selected_step, fresh.selected_score) == (5, 4, 0.75)
    assert torch.equal(fresh.label_shares, saved.label_shares)
    assert torch.equal(fresh.class_thresholds, saved.class_thresholds)
    assert torch.equal(fresh.teacher[4].weight, saved.teacher[4].weight)


def test_a_new_state_is_at_step_0_and_has_selected_nothing():
    built = state(settings())
    assert (built.step, built.selected_step, built.selected_score) == (0, None, float("-inf"))
    assert built.class_thresholds is None
    assert built.auxiliary_discriminator is None
    assert built.teacher is None


def test_initial_weights_of_discriminators_depend_on_the_seed_alone():
    auxiliary = {"auxiliary": {}}
    one = state(settings(seed=1, adaptation=auxiliary))
    torch.rand(7)
    network = segmenter()
    torch.rand(7)
    groups = [ParameterGroup(list(network.parameters()), 1.0)]
    same = build_state(
        network, groups, torch.ones(CLASSES), settings(seed=1, adaptation=auxiliary), CPU
    )
    other = state(settings(seed=2, adaptation=auxiliary))

    def first_weights(built):
        return (
            built.discriminator.layers[0].weight,
            built.auxiliary_discriminator.layers[0].weight,
        )

    for ours, theirs, others in zip(*map(first_weights, (one, same, other)), strict=True):
        assert torch.equal(ours, theirs)
        assert not torch.equal(ours, others)
    assert not torch.equal(*first_weights(one))


def test_a_teacher_is_a_copy_in_evaluation_mode_without_gradients():
    built = state(settings(method="mean_teacher"))
    assert not built.teacher.training
    assert not any(p.requires_grad for p in built.teacher.parameters())
    assert all(p.requires_grad for p in built.segmenter.parameters())
    assert built.teacher[4].weight.data_ptr() != built.segmenter[4].weight.data_ptr()
    assert torch.equal(built.teacher[4].weight, built.segmenter[4].weight)


@pytest.mark.parametrize("channels_last", [False, True])
def test_networks_have_the_layout_of_the_settings(channels_last):
    built = state(settings(channels_last=channels_last))
    layout = torch.channels_last if channels_last else torch.contiguous_format
    for convolution in (built.segmenter[0], built.discriminator.layers[0]):
        assert convolution.weight.is_contiguous(memory_format=layout)
        assert convolution.weight.is_contiguous() != channels_last


def test_gradients_are_scaled_in_float16_alone():
    enabled = {p: state(settings(precision=p)).scaler.is_enabled() for p in PRECISIONS}
    assert enabled == {"float32": False, "bfloat16": False, "float16": True}
