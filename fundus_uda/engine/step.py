"""One adaptation step, reading as Section III of the paper does."""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

import torch
from torch import Tensor, nn

from fundus_uda.affinity import (
    adversarial_loss,
    class_weights,
    discriminator_loss,
    segmentation_loss,
)
from fundus_uda.engine.batches import Batch
from fundus_uda.engine.config import EngineSettings
from fundus_uda.engine.errors import WorkError
from fundus_uda.engine.methods import METHODS
from fundus_uda.engine.randomness import seed_torch
from fundus_uda.engine.schedules import adversarial_weight, poly_lr
from fundus_uda.engine.state import TrainState, memory_format
from fundus_uda.engine.teacher import follow, pseudo_labels

NO_UPDATE = (
    "No weight was updated by this step. In a new run, lower segmenter.lr, or try "
    "precision=float32."
)


def adaptation_step(
    state: TrainState, source: Batch | None, target: Batch | None, settings: EngineSettings
) -> dict[str, float]:
    """One update of the segmenter (Eq. 3 or Eq. 6), then one of the discriminators (Eq. 4).

    With a teacher, the segmenter also learns the teacher's pseudo-labels of the target.

    Args:
        state: changed in place; its step grows by one.
        source: labelled batch; None where the method does without, or has no source images.
        target: images alone; None for a method that does not adapt.
        settings: of the run.

    Returns:
        The unweighted losses by name and, with a teacher, `taught`: the share of the target's
        pixels that it labels.

    Raises:
        WorkError: a loss is not finite; no weight was updated (batch-norm statistics may be).
    """
    method = METHODS[settings.method]
    sees, regulariser = method.discriminator_sees, method.regulariser
    weights, affinity, layout = settings.adaptation, settings.affinity, memory_format(settings)
    levels = _levels(state, settings)
    autocast = torch.autocast(
        state.device.type,
        dtype=getattr(torch, settings.precision),
        enabled=settings.precision != "float32",
    )
    seed_torch(settings.seed, "step", state.step)
    for optimizer in (state.segmenter_optimizer, state.discriminator_optimizer):
        _schedule_lr(optimizer, state.step, settings)
    weight_of_class = None
    if settings.class_balance:
        weight_of_class = class_weights(state.label_shares, settings.class_balance)
        weight_of_class = weight_of_class.to(state.device)
    losses: dict[str, Tensor] = {}

    # Segmenter. Each domain goes backward by itself, which halves the activations in memory.
    state.segmenter.train()
    probs_s = []
    if source is not None:
        assert source.label is not None
        with autocast:
            logits_s = _each_level(state.segmenter(source.image))
        probs_s = [logits.float().softmax(dim=1) for logits in logits_s]
        objective = probs_s[0].new_zeros(())
        for level, logits in zip(levels, logits_s, strict=True):
            loss = segmentation_loss(logits, source.label, settings.ignore_label, weight_of_class)
            losses[f"segmentation{level.suffix}"] = loss
            objective = objective + level.segmentation_weight * loss
        if regulariser is not None and method.regularises_source:
            losses["regulariser_source"] = regulariser(probs_s[0], affinity)
            objective = objective + weights.regulariser_weight * losses["regulariser_source"]
        require_finite(losses, f"step {state.step}", NO_UPDATE)
        state.scaler.scale(objective).backward()

    maps_t = []
    if target is not None and method.statistics_only:
        with torch.no_grad(), autocast:
            state.segmenter(target.image)
    elif target is not None:
        seen = target.image if target.strong is None else target.strong
        keeps = source is not None and weights.statistics == "source"
        with _kept_statistics(state.segmenter, keeps), autocast:
            logits_t = _each_level(state.segmenter(seen))
        probs_t = [logits.float().softmax(dim=1) for logits in logits_t]
        objective = probs_t[0].new_zeros(())
        if regulariser is not None:
            losses["regulariser_target"] = regulariser(probs_t[0], affinity)
            objective = objective + weights.regulariser_weight * losses["regulariser_target"]
        if state.teacher is not None:
            with torch.no_grad(), autocast:
                prob_teacher = state.teacher(target.image).float().softmax(dim=1)
            taught = pseudo_labels(prob_teacher, weights.teacher, settings.ignore_label)
            losses["taught"] = (taught != settings.ignore_label).float().mean()
            losses["teacher"] = segmentation_loss(
                logits_t[0], taught, settings.ignore_label, weight_of_class
            )
            objective = objective + weights.teacher.weight * losses["teacher"]
        for level, prob_t in zip(levels, probs_t, strict=True):
            if (D := level.discriminator) is not None and sees is not None:
                A_t = sees(prob_t, affinity).contiguous(memory_format=layout)
                with frozen(D), autocast:
                    loss = adversarial_loss(D(A_t))
                losses[f"adversarial{level.suffix}"] = loss
                objective = objective + level.adversarial_weight * loss
                maps_t.append(A_t.detach())
        require_finite(losses, f"step {state.step}", NO_UPDATE)
        state.scaler.scale(objective).backward()

    # Discriminators, on the same predictions, detached.
    for level, prob_s, A_t in zip(levels, probs_s, maps_t, strict=False):
        D = level.discriminator
        assert D is not None
        assert sees is not None
        A_s = sees(prob_s.detach(), affinity).contiguous(memory_format=layout)
        with autocast:
            loss = (discriminator_loss(D(A_s), "source") + discriminator_loss(D(A_t), "target")) / 2
        losses[f"discriminator{level.suffix}"] = loss
        require_finite(losses, f"step {state.step}", NO_UPDATE)
        state.scaler.scale(loss).backward()

    if not method.statistics_only:
        for optimizer in (state.segmenter_optimizer, state.discriminator_optimizer):
            if optimizer is not None:
                state.scaler.step(optimizer)
                optimizer.zero_grad(set_to_none=True)
        state.scaler.update()
    if state.teacher is not None and method.teacher == "mean":
        follow(state.teacher, state.segmenter, weights.teacher.decay)
    state.step += 1
    return {name: float(loss.detach()) for name, loss in losses.items()}


class _Level(NamedTuple):
    """One prediction of the segmenter: its discriminator, and the weights of its losses now."""

    suffix: str
    discriminator: nn.Module | None
    segmentation_weight: float
    adversarial_weight: float


def _levels(state: TrainState, settings: EngineSettings) -> list[_Level]:
    """The main prediction (Eqs. 3 and 6) and, if there is one, the auxiliary."""
    weights, auxiliary = settings.adaptation, settings.adaptation.auxiliary

    def now(weight: float) -> float:
        damping = weights.adversarial_damping
        return adversarial_weight(weight, state.step, settings.steps, damping)

    levels = [_Level("", state.discriminator, 1.0, now(weights.adversarial_weight))]
    if auxiliary is not None:
        levels.append(
            _Level(
                "_auxiliary",
                state.auxiliary_discriminator,
                auxiliary.segmentation_weight,
                now(auxiliary.adversarial_weight),
            )
        )
    return levels


def _each_level(output: Tensor | tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    return output if isinstance(output, tuple) else (output,)


def _schedule_lr(
    optimizer: torch.optim.Optimizer | None, step: int, settings: EngineSettings
) -> None:
    for group in optimizer.param_groups if optimizer is not None else ():
        group["lr"] = poly_lr(group["base_lr"], step, settings.steps, settings.poly_power)


@contextmanager
def _kept_statistics(segmenter: nn.Module, keeps: bool) -> Iterator[None]:
    """With `keeps`, batch normalisation leaves its running statistics as they are."""
    of_batches = nn.modules.batchnorm._BatchNorm
    layers = [m for m in segmenter.modules() if keeps and isinstance(m, of_batches)]
    momenta = [layer.momentum for layer in layers]
    for layer in layers:
        layer.momentum = 0.0
    try:
        yield
    finally:
        for layer, momentum in zip(layers, momenta, strict=True):
            layer.momentum = momentum


@contextmanager
def frozen(network: nn.Module) -> Iterator[None]:
    """Gradients flow through, none are kept."""
    network.requires_grad_(False)
    try:
        yield
    finally:
        network.requires_grad_(True)


def require_finite(losses: dict[str, Tensor], when: str, advice: str) -> None:
    """Raise a WorkError that names the first loss that is not finite, and says what to do."""
    for name, loss in losses.items():
        if not math.isfinite(value := float(loss.detach())):
            raise WorkError(f"Expected finite losses. Got: {name} = {value} at {when}. {advice}")
