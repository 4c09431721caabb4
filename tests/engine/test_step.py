import copy
import math
from itertools import islice

import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torch.utils._python_dispatch import TorchDispatchMode

from fundus_uda.affinity import (
    adversarial_loss,
    affinity_cleaning_loss,
    affinity_space,
    class_weights,
    discriminator_loss,
    segmentation_loss,
)
from fundus_uda.engine import step
from fundus_uda.engine.batches import Batch, batch_stream
from fundus_uda.engine.checkpoint import load_checkpoint
from fundus_uda.engine.methods import METHODS
from fundus_uda.engine.randomness import seed_torch
from fundus_uda.engine.step import adaptation_step
from fundus_uda.errors import RunError
from tests.fixtures.tiny_engine import TinyImages, run, settings, state


def batches() -> tuple[Batch, Batch]:
    def first(images, domain):
        stream = batch_stream(
            images, batch_size=4, seed=0, domain=domain, start=0, workers=0, pin_memory=False
        )
        return next(islice(stream, 1))

    return first(TinyImages(5), "source"), first(TinyImages(3, 0.5, labelled=False), "target")


@pytest.mark.parametrize("name", [name for name in METHODS if name != "adabn"])
def test_every_method_updates_what_it_should(name):
    teacher = {"confidence": 0, "keep_fraction": 0.5 if METHODS[name].class_balanced else None}
    weights = {"adversarial_weight": 1, "regulariser_weight": 1, "teacher": teacher}
    of = settings(method=name, adaptation=weights)
    trained = state(of)
    before = copy.deepcopy(trained.state_dict())
    source, target = batches()
    losses = adaptation_step(trained, source, target if METHODS[name].adapts else None, of)
    assert trained.step == 1
    assert not torch.equal(trained.segmenter[4].weight, before["segmenter"]["4.weight"])
    expected = {"segmentation"}
    if METHODS[name].regulariser:
        expected.add("regulariser_target")
    if METHODS[name].regularises_source:
        expected.add("regulariser_source")
    if METHODS[name].discriminator_input:
        expected |= {"adversarial", "discriminator"}
        weight = "layers.0.weight"
        after = trained.discriminator.state_dict()[weight]
        assert not torch.equal(after, before["discriminator"][weight])
    if METHODS[name].teacher:
        expected |= {"teacher", "pseudo_label_fraction"}
        moved = not torch.equal(trained.teacher[4].weight, before["teacher"]["4.weight"])
        assert moved == (METHODS[name].teacher == "mean")
    assert losses.keys() == expected


def test_the_step_is_equations_6_and_4_written_out():
    """Against autograd on the whole sum at once, for ASA with ASC (Eqs. 3, 4 and 6)."""
    weights = {"adversarial_weight": 0.7, "regulariser_weight": 0.3}
    of = settings(method="asa_asc", adaptation=weights, segmenter={"lr": 0.05, "weight_decay": 0})
    trained, reference = state(of), state(of)
    source, target = batches()
    adaptation_step(trained, source, target, of)

    G, D = reference.segmenter, reference.discriminator
    seed_torch(of.seed, "step", 0)
    logits_s = G(source.image)
    prob_s, prob_t = logits_s.softmax(dim=1), G(target.image).softmax(dim=1)
    objective = (
        F.cross_entropy(logits_s, source.label)
        + 0.3 * (affinity_cleaning_loss(prob_s) + affinity_cleaning_loss(prob_t))
        + 0.7 * adversarial_loss(D(affinity_space(prob_t)))
    )
    gradients = torch.autograd.grad(objective, list(G.parameters()))
    with torch.no_grad():
        for parameter, gradient in zip(G.parameters(), gradients, strict=True):
            parameter -= 0.05 * gradient  # the first SGD step has no momentum yet
    for mine, theirs in zip(trained.segmenter.parameters(), G.parameters(), strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-4, atol=1e-6)

    loss = (
        discriminator_loss(D(affinity_space(prob_s.detach())), "source")
        + discriminator_loss(D(affinity_space(prob_t.detach())), "target")
    ) / 2
    loss.backward()
    reference.discriminator_optimizer.step()
    for mine, theirs in zip(trained.discriminator.parameters(), D.parameters(), strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-3, atol=1e-6)


@pytest.mark.parametrize("auxiliary", [None, {"adversarial_weight": 0.4}])
@pytest.mark.parametrize("method", ["adaptsegnet", "asa_asc"])
def test_one_pass_on_the_targets_map_is_bit_equal_to_a_pass_for_each_loss(method, auxiliary):
    """Against D frozen for Eq. 5, and a second pass on the detached map for Eq. 4."""
    weights = {"adversarial_weight": 0.7, "regulariser_weight": 0.3, "auxiliary": auxiliary}
    of = settings(method=method, adaptation=weights, segmenter={"lr": 0.05, "weight_decay": 0})
    source, target = batches()

    def state_of_levels():
        built = state(of)
        if auxiliary:
            plain = built.segmenter.forward
            built.segmenter.forward = lambda image: (plain(image), plain(image) / 2)
        return built

    trained, reference = state_of_levels(), state_of_levels()
    passes = []
    trained.discriminator.register_forward_hook(lambda *_: passes.append(1))
    losses = adaptation_step(trained, source, target, of)
    assert len(passes) == 2

    G, Ds = reference.segmenter, [reference.discriminator, reference.auxiliary_discriminator]
    levels = list(zip(Ds, (1, 0.1), (0.7, 0.4), strict=True))[: 2 if auxiliary else 1]
    space = METHODS[method].discriminator_input
    seed_torch(of.seed, "step", 0)

    def predictions(image):
        logits = G(image)
        return logits if auxiliary else (logits,)

    logits_s = predictions(source.image)
    objective = 0
    for (_, weight, _), logits in zip(levels, logits_s, strict=True):
        objective = objective + weight * segmentation_loss(logits, source.label)
    probs_s = [logits.softmax(dim=1) for logits in logits_s]
    if method == "asa_asc":
        objective = objective + 0.3 * affinity_cleaning_loss(probs_s[0])
    objective.backward()
    probs_t = [logits.softmax(dim=1) for logits in predictions(target.image)]
    objective = 0.3 * affinity_cleaning_loss(probs_t[0]) if method == "asa_asc" else 0
    for (D, _, weight), prob in zip(levels, probs_t, strict=True):
        D.requires_grad_(False)
        objective = objective + weight * adversarial_loss(D(space(prob, of.affinity)))
        D.requires_grad_(True)
    objective.backward()
    for (D, _, _), prob_s, prob_t in zip(levels, probs_s, probs_t, strict=True):
        A_s, A_t = (space(prob.detach(), of.affinity) for prob in (prob_s, prob_t))
        loss = (discriminator_loss(D(A_s), "source") + discriminator_loss(D(A_t), "target")) / 2
        loss.backward()
        if D is reference.discriminator:
            assert losses["discriminator"] == loss.item()
    reference.segmenter_optimizer.step()
    reference.discriminator_optimizer.step()
    for name in ("segmenter", "discriminator", "auxiliary_discriminator")[: 3 if auxiliary else 2]:
        theirs = getattr(reference, name).state_dict()
        for key, mine in getattr(trained, name).state_dict().items():
            assert torch.equal(mine, theirs[key]), (name, key)


def test_a_teacher_labels_the_target_and_the_segmenter_sees_its_strong_view():
    """The step on one target batch alone, against the loss and the update written out."""
    teacher = {"confidence": 0.0, "weight": 0.5, "decay": 0.9}
    of = settings(
        method="mean_teacher",
        adaptation={"teacher": teacher},
        segmenter={"lr": 0.05, "weight_decay": 0, "momentum": 0},
        poly_power=0,
    )
    trained, reference = state(of), state(of)
    _, target = batches()
    target = target._replace(strong=target.image * 0.8)
    losses = adaptation_step(trained, None, target, of)

    label = reference.teacher(target.image).argmax(dim=1)
    seed_torch(of.seed, "step", 0)
    loss = F.cross_entropy(reference.segmenter.train()(target.strong), label)
    (0.5 * loss).backward()
    weight = reference.segmenter[4].weight
    expected = (weight - 0.05 * weight.grad).detach()
    assert losses == {"teacher": pytest.approx(loss.item()), "pseudo_label_fraction": 1}
    torch.testing.assert_close(trained.segmenter[4].weight.detach(), expected)
    mean = 0.9 * reference.teacher[4].weight + 0.1 * expected
    torch.testing.assert_close(trained.teacher[4].weight, mean)


def test_class_thresholds_of_the_state_choose_the_pseudo_labels():
    """Against the loss written out; source and target are both learnt."""
    of = settings(
        method="cbst",
        adaptation={"teacher": {"keep_fraction": 0.5}},
        segmenter={"lr": 0.05, "weight_decay": 0, "momentum": 0},
    )
    trained, reference = state(of), state(of)
    source, target = batches()
    trained.class_thresholds = torch.tensor([0.2, 0.9, 0.3])
    losses = adaptation_step(trained, source, target, of)

    ratio, label = (
        reference.teacher(target.image).softmax(dim=1)
        / torch.tensor([0.2, 0.9, 0.3])[:, None, None]
    ).max(dim=1)
    label[ratio < 1] = of.ignore_label
    assert (label != of.ignore_label).float().mean() > 0
    assert losses["pseudo_label_fraction"] == (label != of.ignore_label).float().mean()
    seed_torch(of.seed, "step", 0)
    segmentation = F.cross_entropy(reference.segmenter.train()(source.image), source.label)
    of_teacher = F.cross_entropy(
        reference.segmenter(target.image), label, ignore_index=of.ignore_label
    )
    assert losses["segmentation"] == pytest.approx(segmentation.item(), rel=1e-5)
    assert losses["teacher"] == pytest.approx(of_teacher.item(), rel=1e-5)


def test_a_teacher_that_is_sure_of_nothing_teaches_nothing_and_says_so():
    of = settings(method="self_training", adaptation={"teacher": {"confidence": 1.0}})
    _, target = batches()
    assert adaptation_step(state(of), None, target, of) == {
        "teacher": 0,
        "pseudo_label_fraction": 0,
    }


@pytest.mark.parametrize("precision", ["float32", "float16"])
def test_adabn_changes_the_running_statistics_alone(precision):
    of = settings(method="adabn", precision=precision)
    trained = state(of)
    before = copy.deepcopy(trained.segmenter.state_dict())
    _, target = batches()
    assert adaptation_step(trained, None, target, of) == {}
    changed = {
        name
        for name, tensor in trained.segmenter.state_dict().items()
        if not torch.equal(tensor, before[name])
    }
    assert changed == {"1.running_mean", "1.running_var", "1.num_batches_tracked"}


@pytest.mark.parametrize("method", ["asc", "asa", "mean_teacher"])
def test_running_statistics_are_those_of_the_source_where_settings_say_so(method):
    weights = {"adversarial_weight": 0, "regulariser_weight": 0, "teacher": {"weight": 0}}
    of, both = (
        settings(method=method, adaptation=weights | {"batch_norm_statistics": statistics})
        for statistics in ("source", "both")
    )
    adapted, source_alone, of_both = state(of), state(of), state(of)
    source, target = batches()
    adaptation_step(adapted, source, target, of)
    adaptation_step(of_both, source, target, both)
    seed_torch(of.seed, "step", 0)
    source_alone.segmenter.train()(source.image)
    torch.testing.assert_close(
        adapted.segmenter[1].running_mean, source_alone.segmenter[1].running_mean
    )
    assert adapted.segmenter[1].momentum == 0.1
    assert not torch.equal(adapted.segmenter[1].running_mean, of_both.segmenter[1].running_mean)


def test_frozen_statistics_stay_and_normalise_in_training():
    of = settings(method="asa", adaptation={"batch_norm_statistics": "frozen"})
    trained = state(of)
    before = copy.deepcopy(trained.segmenter)
    source, target = batches()
    seed_torch(of.seed, "step", 0)
    before.train()[1].eval()
    expected = segmentation_loss(before(source.image), source.label)
    losses = adaptation_step(trained, source, target, of)
    assert losses["segmentation"] == pytest.approx(expected.item())
    for name in ("running_mean", "running_var", "num_batches_tracked"):
        assert torch.equal(getattr(trained.segmenter[1], name), getattr(before[1], name))
    assert not torch.equal(trained.segmenter[1].weight, before[1].weight)


@pytest.mark.parametrize(("method", "channels"), [("adaptsegnet", 3), ("asa", 12)])
def test_the_discriminator_may_see_a_map_of_means_over_squares(method, channels):
    of = settings(method=method, affinity={"stride": 2, "neighbors": 4})
    trained, seen = state(of), []
    trained.discriminator = nn.Conv2d(channels, 1, 1)  # the true one needs 32x32
    trained.discriminator.register_forward_hook(lambda _, given, __: seen.append(given[0]))
    source, target = batches()
    seed_torch(of.seed, "step", 0)
    segmenter = copy.deepcopy(trained.segmenter).train()
    segmenter(source.image)
    prob = F.avg_pool2d(segmenter(target.image).softmax(dim=1), 2)
    adaptation_step(trained, source, target, of)
    expected = affinity_space(prob, 4) if method == "asa" else prob
    torch.testing.assert_close(seen[0], expected)
    assert seen[0].shape == (4, channels, 16, 16)


def test_without_a_source_the_running_statistics_are_those_of_the_target():
    """Else there would be none at all: a setting for the source cannot hold without one."""
    of = settings(method="self_training", adaptation={"batch_norm_statistics": "source"})
    trained = state(of)
    _, target = batches()
    adaptation_step(trained, None, target, of)
    assert trained.segmenter[1].running_mean.abs().min() > 0


@pytest.mark.parametrize("damping", [False, True])
def test_a_damped_adversarial_weight_falls_with_the_steps(damping):
    """At step 3 of 4 a weight of 4 is one of 1 with damping."""
    updated = []
    for weights in (
        {"adversarial_weight": 4, "adversarial_damping": damping},
        {"adversarial_weight": 1 if damping else 4},
    ):
        of = settings(steps=4, adaptation=weights)
        trained = state(of)
        trained.step = 3
        adaptation_step(trained, *batches(), of)
        updated.append(trained.segmenter[4].weight)
    assert torch.equal(*updated)


def test_rare_classes_weigh_more_with_a_class_balance():
    of = settings(method="source", class_balance=0.5)
    trained = state(of)
    trained.label_shares = torch.tensor([0.81, 0.18, 0.01])
    source, _ = batches()
    seed_torch(of.seed, "step", 0)
    logits = copy.deepcopy(trained.segmenter)(source.image)
    weights = class_weights(trained.label_shares, 0.5)
    expected = segmentation_loss(logits, source.label, weight_of_class=weights)
    losses = adaptation_step(trained, source, None, of)
    assert losses["segmentation"] == pytest.approx(expected.item())
    assert weights[2] / weights[0] == pytest.approx(9)


def test_the_target_label_is_not_used():
    of = settings()
    with_label, without = state(of), state(of)
    source, target = batches()
    adaptation_step(with_label, source, Batch(target.image, source.label), of)
    adaptation_step(without, source, target, of)
    for one, other in zip(
        with_label.segmenter.parameters(), without.segmenter.parameters(), strict=True
    ):
        assert torch.equal(one, other)


def test_rates_follow_the_schedule():
    of = settings(steps=4, poly_power=1.0)
    trained = state(of)
    source, target = batches()
    rates = []
    for _ in range(4):
        adaptation_step(trained, source, target, of)
        rates.append(trained.segmenter_optimizer.param_groups[0]["lr"])
    assert rates == pytest.approx([0.05, 0.0375, 0.025, 0.0125])


@pytest.mark.parametrize("precision", ["bfloat16", "float16"])
def test_a_step_runs_in_mixed_precision(precision):
    of = settings(precision=precision, channels_last=True)
    trained = state(of)
    source, target = batches()
    losses = adaptation_step(trained, source, target, of)
    assert losses["segmentation"] > 0
    assert next(trained.segmenter.parameters()).dtype == torch.float32


def dtypes_of(network, seen):
    """Note what a network takes and gives at each call."""
    network.register_forward_hook(
        lambda _, inputs, output: seen.append((inputs[0].dtype, output.dtype))
    )


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_all_networks_compute_in_the_precision_and_the_probabilities_are_float32(precision):
    low = getattr(torch, precision)
    seen = []
    of = settings(method="adaptsegnet", precision=precision)
    trained = state(of)
    dtypes_of(trained.segmenter, seen)
    dtypes_of(trained.discriminator, seen)
    adaptation_step(trained, *batches(), of)
    assert seen == [(torch.float32, low)] * 4  # S on both domains, D on both maps

    seen = []
    for method in ("mean_teacher", "adabn"):
        of = settings(method=method, precision=precision)
        trained = state(of)
        dtypes_of(trained.teacher if method == "mean_teacher" else trained.segmenter, seen)
        adaptation_step(trained, None, batches()[1], of)
    assert seen == [(torch.float32, low)] * 2


def test_discriminators_have_a_precision_of_their_own():
    seen = {"segmenter": [], "discriminator": []}
    of = settings(method="asa_asc", discriminator={"precision": "bfloat16"})
    trained, whole = state(of), state(settings(method="asa_asc"))
    for name, dtypes in seen.items():
        dtypes_of(getattr(trained, name), dtypes)
    losses = adaptation_step(trained, *batches(), of)
    expected = adaptation_step(whole, *batches(), settings(method="asa_asc"))
    assert seen["segmenter"] == [(torch.float32, torch.float32)] * 2
    assert seen["discriminator"] == [(torch.float32, torch.bfloat16)] * 2
    assert losses == pytest.approx(expected, rel=1e-2)
    assert next(trained.discriminator.parameters()).dtype == torch.float32


def test_float16_scales_its_gradients_anew_at_each_step():
    of = settings(precision="float16", segmenter={"lr": 0.05, "weight_decay": 0})
    trained, plain = state(of), state(settings(segmenter={"lr": 0.05, "weight_decay": 0}))
    before = trained.segmenter[4].weight.detach().clone()
    assert adaptation_step(trained, *batches(), of)["skipped_updates"] == 0
    adaptation_step(plain, *batches(), settings(segmenter={"lr": 0.05, "weight_decay": 0}))
    moved, expected = trained.segmenter[4].weight - before, plain.segmenter[4].weight - before
    torch.testing.assert_close(moved, expected, rtol=0.05, atol=1e-4)  # as large as without scaling
    scale = trained.scaler.get_scale()
    trained.segmenter[4].weight.register_hook(lambda gradient: gradient * float("inf"))
    after = trained.segmenter[4].weight.detach().clone()
    assert adaptation_step(trained, *batches(), of)["skipped_updates"] == 1
    assert torch.equal(trained.segmenter[4].weight, after)  # an overflow updates nothing
    assert trained.scaler.get_scale() == scale / 2


def test_maps_have_the_layout_of_the_discriminator():
    of = settings(channels_last=True)
    trained, layouts = state(of), []
    trained.discriminator.register_forward_pre_hook(
        lambda _, inputs: layouts.append(inputs[0].is_contiguous(memory_format=torch.channels_last))
    )
    adaptation_step(trained, *batches(), of)
    assert layouts == [True] * 2


@pytest.mark.parametrize("method", ["asa_asc", "mean_teacher"])
def test_a_step_reads_its_device_once_and_only_scalars(method, monkeypatch):
    """On a GPU, each other read would wait for all that is computed so far."""
    of = settings(method=method, adaptation={"auxiliary": None})
    trained = state(of)
    read = []

    class Reads(TorchDispatchMode):
        def __torch_dispatch__(self, func, types, args=(), kwargs=None):
            if func is torch.ops.aten._local_scalar_dense.default:
                read.append(args[0])
            return func(*args, **(kwargs or {}))

    monkeypatch.setattr(step, "update", lambda _: None)  # Adam counts its steps on the CPU
    source, target = batches()
    with Reads():
        losses = adaptation_step(trained, source, target, of)
    assert len(read) in (len(losses) + 1, len(losses) + 2)  # and a norm for each optimiser
    assert len({scalar.untyped_storage().data_ptr() for scalar in read}) == 1


def test_a_loss_that_is_not_finite_stops_before_the_update():
    of = settings()
    trained = state(of)
    before = copy.deepcopy(trained.segmenter.state_dict())
    source, target = batches()
    with pytest.raises(RunError, match="segmentation = nan at step 0"):
        adaptation_step(trained, source._replace(image=source.image * float("nan")), target, of)
    assert trained.step == 0
    for name, weight in trained.segmenter.named_parameters():
        assert torch.equal(weight, before[name])


def test_a_gradient_that_is_not_finite_ends_the_run_before_the_update():
    of = settings(method="source")
    train_state = state(of)
    source, _ = batches()
    weights = {name: w.clone() for name, w in train_state.segmenter.state_dict().items()}
    last = list(train_state.segmenter.parameters())[-1]
    last.register_hook(lambda gradient: gradient * float("inf"))
    with pytest.raises(
        RunError, match="Expected finite gradients. Got: a norm of (inf|nan) at step 0"
    ):
        adaptation_step(train_state, source, None, of)
    for name, parameter in train_state.segmenter.named_parameters():
        assert torch.equal(parameter, weights[name])


def test_weights_that_are_not_finite_are_not_saved(tmp_path):
    large = {"lr": 4e9, "weight_decay": 4e9, "momentum": 0}
    of = settings(method="source", steps=1, segmenter=large)
    trained = state(of)
    trained.segmenter[4].bias.data += 1e25  # all alike, and beyond float32 after a step
    with pytest.raises(RunError, match="Expected finite weights after step 1"):
        run(trained, of, tmp_path / "run")
    assert load_checkpoint(tmp_path / "run" / "last.pt").step == 0


@pytest.mark.parametrize("odd", ["without labels", "of one class", "black", "white"])
@pytest.mark.parametrize("method", ["asa_asc", "mean_teacher"])
def test_an_odd_batch_leaves_finite_weights(method, odd):
    of = settings(method=method, adaptation={"teacher": {"confidence": 0.2}})
    trained = state(of)
    source, target = batches()
    if odd in ("without labels", "of one class"):
        label = torch.full_like(source.label, 255 if odd == "without labels" else 1)
        source = source._replace(label=label)
    else:
        source, target = (
            batch._replace(image=torch.full_like(batch.image, float(odd == "white")))
            for batch in (source, target)
        )
    for _ in range(2):
        losses = adaptation_step(trained, source, target, of)
    assert all(math.isfinite(loss) for loss in losses.values())
    assert all(weight.isfinite().all() for weight in trained.segmenter.state_dict().values())
