"""The end of a step: what the processes have computed is averaged, checked, and taken."""

import math

import torch
from torch import Tensor, nn

from fundus_uda.engine import distributed
from fundus_uda.engine.schedules import poly_lr
from fundus_uda.engine.settings import EngineSettings
from fundus_uda.engine.state import TrainState
from fundus_uda.errors import RunError

NO_UPDATE = (
    "No weight was updated by this step. In a new run, lower segmenter.lr, or try "
    "precision=float32."
)


def schedule_lr(
    optimizer: torch.optim.Optimizer | None, step: int, settings: EngineSettings
) -> None:
    """Set the learning rates of a step."""
    for group in optimizer.param_groups if optimizer is not None else ():
        group["lr"] = poly_lr(group["base_lr"], step, settings.steps, settings.poly_power)


def average(state: TrainState, settings: EngineSettings) -> None:
    """Average what the processes of a run have each computed, once a step, but for the losses."""
    values = [gradient for optimizer in _optimizers(state) for gradient in _gradients(optimizer)]
    if settings.batch_norm == "local":
        for layer in batch_norms(state.segmenter):
            statistics = (layer.running_mean, layer.running_var)
            values += [value for value in statistics if value is not None]
    distributed.average(values)


def read_finite(state: TrainState, losses: dict[str, Tensor]) -> dict[str, float]:
    """Read the losses, the mean over the processes, and check them and the gradients.

    With float16, the scaler skips an update by gradients that are not finite, and scales less.

    Raises:
        RunError: a loss or the norm of a network's gradients is not finite.
    """
    distributed.average(losses.values())
    norms: dict[str, Tensor] = {}
    if not state.scaler.is_enabled():
        for index, optimizer in enumerate(_optimizers(state)):
            norms[f"norm {index}"] = torch.nn.utils.get_total_norm(_gradients(optimizer))
    told = read(losses | norms)
    norm = sum(told.pop(name) for name in norms)
    require_finite(told, f"step {state.step}", NO_UPDATE)
    if not math.isfinite(norm):
        raise RunError(
            f"Expected finite gradients. Got: a norm of {norm} at step {state.step}. {NO_UPDATE}"
        )
    return told


def _optimizers(state: TrainState) -> list[torch.optim.Optimizer]:
    both = state.segmenter_optimizer, state.discriminator_optimizer
    return [optimizer for optimizer in both if optimizer is not None]


def _gradients(optimizer: torch.optim.Optimizer) -> list[Tensor]:
    return [
        parameter.grad
        for group in optimizer.param_groups
        for parameter in group["params"]
        if parameter.grad is not None
    ]


def update(state: TrainState) -> None:
    """Update the weights."""
    for optimizer in _optimizers(state):
        state.scaler.step(optimizer)
        optimizer.zero_grad(set_to_none=True)
    state.scaler.update()


def batch_norms(network: nn.Module) -> list[nn.modules.batchnorm._BatchNorm]:
    """List the layers of batch normalisation."""
    kind = nn.modules.batchnorm._BatchNorm
    return [layer for layer in network.modules() if isinstance(layer, kind)]


def read(losses: dict[str, Tensor]) -> dict[str, float]:
    """Read scalars off their device, in one transfer."""
    if not losses:
        return {}
    values = torch.stack([loss.detach() for loss in losses.values()]).cpu()
    return dict(zip(losses, map(float, values), strict=True))


def require_finite(losses: dict[str, float], when: str, advice: str) -> None:
    """Raise a RunError that names the first loss that is not finite and gives `advice`."""
    for name, value in losses.items():
        if not math.isfinite(value):
            raise RunError(f"Expected finite losses. Got: {name} = {value} at {when}. {advice}")
