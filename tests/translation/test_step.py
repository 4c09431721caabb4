import copy

import pytest
import torch

from fundus_uda.engine.batches import Batch
from fundus_uda.errors import RunError
from fundus_uda.translation.equations import (
    cycle_loss,
    discriminator_loss,
    generator_loss,
    identity_loss,
    semantic_consistency_loss,
)
from fundus_uda.translation.state import build_translation_state
from fundus_uda.translation.step import linear_decay, translation_step
from tests.fixtures.runs import tensors
from tests.fixtures.tiny_translation import segmenter, settings

CPU = torch.device("cpu")


def batches():
    torch.manual_seed(3)
    return [Batch(torch.rand(2, 3, 32, 32) * 2 - 1, None) for _ in range(2)]


def test_the_step_is_the_objective_written_out():
    """CyCADA Eq. 5 and CycleGAN's identity term, with their weights, by one Adam step."""
    of, (source, target), f_S = settings(semantic_weight=0.5), batches(), segmenter()
    state, by_hand = (build_translation_state(of, CPU) for _ in range(2))
    losses = translation_step(state, source, target, f_S, of)

    x_S, x_T = source.image, target.image
    G_ST, G_TS = by_hand.generators["ST"], by_hand.generators["TS"]
    D_S, D_T = by_hand.discriminators["S"], by_hand.discriminators["T"]
    fake_T, fake_S = G_ST(x_S), G_TS(x_T)
    expected = {
        "adversarial": generator_loss(D_T(fake_T)) + generator_loss(D_S(fake_S)),
        "cycle": cycle_loss(G_TS(fake_T), x_S) + cycle_loss(G_ST(fake_S), x_T),
        "identity": identity_loss(G_ST(x_T), x_T) + identity_loss(G_TS(x_S), x_S),
        "semantic": semantic_consistency_loss(f_S, fake_T, x_S)
        + semantic_consistency_loss(f_S, fake_S, x_T),
    }
    weights = {"adversarial": 1, "cycle": 10, "identity": 5, "semantic": 0.5}
    sum(weights[name] * loss for name, loss in expected.items()).backward()
    by_hand.generator_optimizer.step()
    by_hand.discriminator_optimizer.zero_grad()
    expected["discriminator"] = discriminator_loss(
        D_S(x_S), D_S(fake_S.detach())
    ) + discriminator_loss(D_T(x_T), D_T(fake_T.detach()))
    expected["discriminator"].backward()
    by_hand.discriminator_optimizer.step()

    assert losses == pytest.approx({name: loss.item() for name, loss in expected.items()})
    ours, theirs = (
        s.generators.state_dict() | s.discriminators.state_dict() for s in (state, by_hand)
    )
    for name, tensor in ours.items():
        assert torch.allclose(tensor, theirs[name], atol=1e-6), name
    assert state.step == 1


@pytest.mark.parametrize("name", ["cycle", "identity", "semantic"])
def test_a_term_without_weight_is_left_out(name):
    of = settings(**{f"{name}_weight": 0})
    losses = translation_step(build_translation_state(of, CPU), *batches(), segmenter(), of)
    assert name not in losses
    assert {"adversarial", "discriminator"} < losses.keys()


def test_a_loss_that_is_not_finite_stops_before_any_update():
    of, (source, target) = settings(), batches()
    state = build_translation_state(of, CPU)
    before = copy.deepcopy(state.state_dict())
    source.image[0, 0, 0, 0] = float("nan")
    with pytest.raises(RunError, match="adversarial = nan at step 0 of the translation"):
        translation_step(state, source, target, segmenter(), of)
    after = tensors(state.state_dict())
    for name, value in tensors(before).items():
        same = torch.equal(value, after[name]) if torch.is_tensor(value) else value == after[name]
        assert same, name


def test_the_rate_is_constant_then_falls_to_0():
    assert [linear_decay(4.0, step, 8) for step in (0, 3, 4, 6, 8)] == [4, 4, 4, 2, 0]
