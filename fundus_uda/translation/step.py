"""One step of CyCADA's image translation: both generators, then both discriminators."""

from torch import nn

from fundus_uda.engine.batches import Batch
from fundus_uda.engine.randomness import derive_seed
from fundus_uda.engine.update import read, require_finite
from fundus_uda.translation.equations import (
    cycle_loss,
    discriminator_loss,
    generator_loss,
    identity_loss,
    semantic_consistency_loss,
)
from fundus_uda.translation.settings import CycadaSettings
from fundus_uda.translation.state import TranslationState


def translation_step(
    state: TranslationState,
    source: Batch,
    target: Batch,
    segmenter: nn.Module,
    settings: CycadaSettings,
) -> dict[str, float]:
    """Update the generators once (CyCADA Eq. 5 without feature alignment), then D_S and D_T.

    Args:
        state: state to update in place; its step grows by one.
        source: images x_S in [-1, 1]; labels, if there are any, are not used.
        target: images x_T in [-1, 1].
        segmenter: f_S, a network from images in [-1, 1] to logits, in evaluation mode and with
            frozen parameters.
        settings: settings of the run.

    Returns:
        The unweighted losses by name, each the sum of both directions.

    Raises:
        RunError: a loss is not finite; the networks that it trains were not updated.
    """
    x_S, x_T = source.image, target.image
    G_ST, G_TS = state.generators["ST"], state.generators["TS"]
    D_S, D_T = state.discriminators["S"], state.discriminators["T"]
    for optimizer in (state.generator_optimizer, state.discriminator_optimizer):
        for group in optimizer.param_groups:
            group["lr"] = linear_decay(settings.lr, state.step, settings.steps)

    when = f"step {state.step} of the translation"
    fake_T, fake_S = G_ST(x_S), G_TS(x_T)
    losses = {"adversarial": generator_loss(D_T(fake_T)) + generator_loss(D_S(fake_S))}
    objective = losses["adversarial"]
    if settings.cycle_weight:
        losses["cycle"] = cycle_loss(G_TS(fake_T), x_S) + cycle_loss(G_ST(fake_S), x_T)
        objective = objective + settings.cycle_weight * losses["cycle"]
    if settings.identity_weight:
        losses["identity"] = identity_loss(G_ST(x_T), x_T) + identity_loss(G_TS(x_S), x_S)
        objective = objective + settings.identity_weight * losses["identity"]
    if settings.semantic_weight:
        losses["semantic"] = semantic_consistency_loss(
            segmenter, fake_T, x_S
        ) + semantic_consistency_loss(segmenter, fake_S, x_T)
        objective = objective + settings.semantic_weight * losses["semantic"]
    require_finite(read(losses), when, "In a new run, lower lr.")
    state.generator_optimizer.zero_grad(set_to_none=True)
    objective.backward(inputs=list(state.generators.parameters()))
    state.generator_optimizer.step()

    older_S, older_T = (
        state.pools[domain].exchange(
            fake.detach(), derive_seed(settings.seed, "history", domain, state.step)
        )
        for domain, fake in (("S", fake_S), ("T", fake_T))
    )
    losses["discriminator"] = discriminator_loss(D_S(x_S), D_S(older_S)) + discriminator_loss(
        D_T(x_T), D_T(older_T)
    )
    require_finite(read(losses), when, "In a new run, lower lr.")
    state.discriminator_optimizer.zero_grad(set_to_none=True)
    losses["discriminator"].backward()
    state.discriminator_optimizer.step()
    state.step += 1
    return read(losses)


def linear_decay(lr: float, step: int, steps: int) -> float:
    """Return `lr` for the first half of training, then falling to 0 linearly (CycleGAN, Sec. 4)."""
    return lr * min(1.0, 2 * (1 - step / steps))
