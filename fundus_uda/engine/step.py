"""One adaptation step in the order of the paper's Section III: three phases, then the update."""

from collections.abc import Iterable, Iterator
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
from fundus_uda.affinity.equations import Domain
from fundus_uda.engine import distributed
from fundus_uda.engine.batches import Batch
from fundus_uda.engine.methods import METHODS, Method, map_to_discriminate
from fundus_uda.engine.randomness import seed_torch
from fundus_uda.engine.schedules import adversarial_weight
from fundus_uda.engine.settings import EngineSettings
from fundus_uda.engine.state import TrainState, memory_format
from fundus_uda.engine.teacher import pseudo_labels, update_ema
from fundus_uda.engine.update import (
    average,
    batch_norms,
    read_finite,
    schedule_lr,
    update,
)


def adaptation_step(
    state: TrainState, source: Batch | None, target: Batch | None, settings: EngineSettings
) -> dict[str, float]:
    """Update the segmenter once (Eq. 3 or Eq. 6), then the discriminators (Eq. 4).

    With a teacher, the segmenter also learns the teacher's pseudo-labels of the target.

    The device is waited for once, when losses and norms of gradients are read, before the update.

    Args:
        state: state to update in place; its step grows by one.
        source: labelled batch; None if the method uses none or there are no source images. In a run
            of several processes, batches are this one's slices.
        target: unlabelled batch; None for a method that does not adapt.
        settings: settings of the run.

    Returns:
        Unweighted losses by name; with a teacher, `pseudo_label_fraction`: the fraction of the
        target's pixels that it labels; in float16, `skipped_updates`: 1 if a gradient overflowed.

    Raises:
        RunError: a loss or a gradient is not finite; no weight was updated (batch-norm statistics
            may be).
    """
    step = _Step(state, settings, METHODS[settings.method])
    of_process = (rank,) if (rank := distributed.rank()) else ()  # dropout of its own
    seed_torch(settings.seed, "step", state.step, *of_process)
    for optimizer in (state.segmenter_optimizer, state.discriminator_optimizer):
        schedule_lr(optimizer, state.step, settings)
    losses: dict[str, Tensor] = {}

    state.segmenter.train()
    if settings.adaptation.batch_norm_statistics == "frozen":
        for layer in batch_norms(state.segmenter):
            layer.eval()
    # One backward pass per domain halves the activations in memory.
    probs_s = [] if source is None else _segmenter_on_source(step, source, losses)
    if target is not None and step.method.statistics_only:
        _statistics_of_target(step, target)
    elif target is not None:
        keeps_statistics = (
            source is not None and settings.adaptation.batch_norm_statistics == "source"
        )
        # D's one pass on the target's map serves Eq. 5 and Eq. 4.
        domain_logits_t = _segmenter_on_target(step, target, losses, keeps_statistics)
        if probs_s:
            _discriminators(step, domain_logits_t, "target", losses)
        del domain_logits_t  # and with them the segmenter's graph, before D sees the source
        _discriminators(step, _discriminated_source(step, probs_s), "source", losses)

    average(state, settings)
    told = read_finite(state, losses)
    if not step.method.statistics_only:
        scale = state.scaler.get_scale()
        update(state)
        if state.scaler.is_enabled():  # it scales less after an update that it skipped
            told["skipped_updates"] = float(state.scaler.get_scale() < scale)
    if state.teacher is not None and step.method.teacher == "mean":
        update_ema(state.teacher, state.segmenter, settings.adaptation.teacher.decay)
    state.step += 1
    return told


class _Level(NamedTuple):
    """One prediction of the segmenter: its discriminator and its loss weights at this step."""

    suffix: str
    discriminator: nn.Module | None
    segmentation_weight: float
    adversarial_weight: float


class _Step:
    """Context that the phases of one step share."""

    def __init__(self, state: TrainState, settings: EngineSettings, method: Method) -> None:
        self.state, self.settings, self.method = state, settings, method
        self.levels = _levels(state, settings)
        self.autocast = _autocast(settings.precision, state.device)
        alone = settings.precision == "float32"
        precision = settings.discriminator.precision if alone else settings.precision
        self.autocast_of_discriminators = _autocast(precision, state.device)
        self.class_weights = None
        if settings.class_balance:
            weights = class_weights(state.label_shares, settings.class_balance)
            self.class_weights = weights.to(state.device)

    def segment(self, image: Tensor) -> tuple[tuple[Tensor, ...], list[Tensor]]:
        """Return the logits of each level and their probabilities in float32, (B, C, H, W)."""
        with self.autocast, distributed.batch_norm(self.settings.batch_norm):
            output = self.state.segmenter(image)
        logits = output if isinstance(output, tuple) else (output,)
        return logits, [level.float().softmax(dim=1) for level in logits]

    def discriminator_input(self, prob: Tensor) -> Tensor:
        """Return the map (B, K, H, W) that the discriminators compare."""
        map_BKHW = map_to_discriminate(self.method, prob, self.settings.affinity)
        return map_BKHW.contiguous(memory_format=memory_format(self.settings))

    def domain_logits(self, D: nn.Module, map_BKHW: Tensor) -> Tensor:
        """Return D's logits of a map, in float32."""
        with self.autocast_of_discriminators:
            logits: Tensor = D(map_BKHW)
        return logits.float()

    def cross_entropy(self, logits: Tensor, label: Tensor) -> Tensor:
        """Compute Eq. 2 with the run's class weights.

        The mean over the processes of a run is that over all of their labelled pixels.
        """
        ignored = self.settings.ignore_label
        loss = segmentation_loss(logits, label, ignored, self.class_weights)
        if distributed.processes() > 1:
            labelled = (label != ignored).sum()
            all_labelled = distributed.summed(labelled).clamp(min=1)
            loss = loss * (distributed.processes() * labelled / all_labelled)
        return loss

    def backward(
        self,
        objective: Tensor,
        losses: dict[str, Tensor],
        network: nn.Module,
        retain_graph: bool = False,
    ) -> None:
        """Add the gradients of an objective to the parameters of one network alone.

        `losses` are detached in place.
        """
        parameters = [parameter for parameter in network.parameters() if parameter.requires_grad]
        scaled = self.state.scaler.scale(objective)
        scaled.backward(inputs=parameters, retain_graph=retain_graph)
        losses.update({name: loss.detach() for name, loss in losses.items()})


def _autocast(precision: str, device: torch.device) -> torch.autocast:
    """Make the autocast of networks; there is none in float32."""
    dtype = getattr(torch, precision)
    return torch.autocast(device.type, dtype=dtype, enabled=dtype != torch.float32)


def _segmenter_on_source(step: _Step, source: Batch, losses: dict[str, Tensor]) -> list[Tensor]:
    """Learn the labels (Eq. 2); with ASC, clean the prediction (Eq. 1). Return probabilities."""
    assert source.label is not None
    logits_s, probs_s = step.segment(source.image)
    objective = probs_s[0].new_zeros(())
    for level, logits in zip(step.levels, logits_s, strict=True):
        loss = step.cross_entropy(logits, source.label)
        losses[f"segmentation{level.suffix}"] = loss
        objective = objective + level.segmentation_weight * loss
    regulariser = step.method.regulariser
    if regulariser is not None and step.method.regularises_source:
        losses["regulariser_source"] = regulariser(probs_s[0], step.settings.affinity)
        weight = step.settings.adaptation.regulariser_weight
        objective = objective + weight * losses["regulariser_source"]
    step.backward(objective, losses, step.state.segmenter)
    return probs_s


def _segmenter_on_target(
    step: _Step, target: Batch, losses: dict[str, Tensor], keeps_statistics: bool
) -> list[Tensor]:
    """Regularise, learn pseudo-labels, and fool the discriminators (Eq. 5).

    Returns:
        The logits of each discriminator on its map, with their graph.
    """
    weights = step.settings.adaptation
    with _kept_statistics(step.state.segmenter, keeps_statistics):
        logits_t, probs_t = step.segment(target.image if target.strong is None else target.strong)
    objective = probs_t[0].new_zeros(())
    if step.method.regulariser is not None:
        losses["regulariser_target"] = step.method.regulariser(probs_t[0], step.settings.affinity)
        objective = objective + weights.regulariser_weight * losses["regulariser_target"]
    if step.state.teacher is not None:
        with torch.no_grad(), step.autocast:
            prob_teacher = step.state.teacher(target.image).float().softmax(dim=1)
        ignored = step.settings.ignore_label
        thresholds = step.state.class_thresholds
        # Those that keep a fraction of the batch's pixels keep it of the global batch's.
        prob_batch = distributed.gathered(prob_teacher)
        label = distributed.own(pseudo_labels(prob_batch, weights.teacher, ignored, thresholds))
        losses["pseudo_label_fraction"] = (label != ignored).float().mean()
        losses["teacher"] = step.cross_entropy(logits_t[0], label)
        objective = objective + weights.teacher.weight * losses["teacher"]
    domain_logits_t = []
    for level, prob_t in zip(step.levels, probs_t, strict=True):
        if (D := level.discriminator) is not None:
            domain_logits = step.domain_logits(D, step.discriminator_input(prob_t))
            loss = adversarial_loss(domain_logits)
            losses[f"adversarial{level.suffix}"] = loss
            objective = objective + level.adversarial_weight * loss
            domain_logits_t.append(domain_logits)
    step.backward(objective, losses, step.state.segmenter, retain_graph=bool(domain_logits_t))
    return domain_logits_t


def _statistics_of_target(step: _Step, target: Batch) -> None:
    """Update the running statistics of batch normalisation with the target's batch (AdaBN)."""
    with torch.no_grad():
        step.segment(target.image)


def _discriminated_source(step: _Step, probs_s: list[Tensor]) -> Iterator[Tensor]:
    """Yield the logits of each discriminator on the source's map, detached from the segmenter."""
    for level, prob_s in zip(step.levels, probs_s, strict=False):
        if (D := level.discriminator) is not None:
            yield step.domain_logits(D, step.discriminator_input(prob_s.detach()))


def _discriminators(
    step: _Step, domain_logits: Iterable[Tensor], domain: Domain, losses: dict[str, Tensor]
) -> None:
    """Train the discriminators on one domain, half of Eq. 4."""
    for level, logits in zip(step.levels, domain_logits, strict=False):
        D, name = level.discriminator, f"discriminator{level.suffix}"
        assert D is not None
        loss = discriminator_loss(logits, domain) / 2
        losses[name] = losses.get(name, 0) + loss
        step.backward(loss, losses, D)


def _levels(state: TrainState, settings: EngineSettings) -> list[_Level]:
    """Return the main prediction (Eqs. 3 and 6) and the auxiliary one, if any."""
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


@contextmanager
def _kept_statistics(segmenter: nn.Module, keeps: bool) -> Iterator[None]:
    """Keep the running statistics of batch normalisation unchanged, if `keeps`."""
    layers = batch_norms(segmenter) if keeps else []
    momenta = [layer.momentum for layer in layers]
    for layer in layers:
        layer.momentum = 0.0
    try:
        yield
    finally:
        for layer, momentum in zip(layers, momenta, strict=True):
            layer.momentum = momentum
