"""One run in the n processes that torchrun begins: rank r takes slice r::n of each global batch.

After each step all processes hold the same state to the bit: gradients are averaged once, after
both backward passes of the segmenter and all of the discriminators, and so are the running
statistics of local batch normalisation. Any of them could write the checkpoint; the first does.

`DistributedDataParallel` is not used. It reduces at every backward pass that it is not told to
leave out, it takes one backward pass for each pass through a network (the discriminator's pass on
the target has two), and it leaves alone the gradients of what its last pass did not use: those of
an auxiliary head, which only the source trains.
"""

import os
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from datetime import timedelta
from typing import Any, Literal, TypeVar

import torch
from torch import Tensor
from torch import distributed as dist
from torch.distributed.distributed_c10d import PrefixStore
from torch.distributed.rendezvous import rendezvous
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode

from fundus_uda.errors import InputError, RunError
from fundus_uda.output import quietly

Result = TypeVar("Result")
LONGEST_WAIT = timedelta(hours=12)
"""Time that processes wait while the first one scores and saves a snapshot. One that has died is
noticed at once, by its connection."""


def rank() -> int:
    """Return the number of this process in its run, from 0."""
    return dist.get_rank() if dist.is_initialized() else 0


def processes() -> int:
    """Return the number of processes of this run."""
    return dist.get_world_size() if dist.is_initialized() else 1


def is_restarted() -> bool:
    """Check whether torchrun has begun the processes anew, after one of them had died."""
    return largest(_restarts()) > 0


def _restarts() -> int:
    """Return how often torchrun has begun anew on this machine; the others may count less."""
    return int(os.environ.get("TORCHELASTIC_RESTART_COUNT", "0"))


@contextmanager
def joined(device: torch.device) -> Iterator[None]:
    """Join the other processes that torchrun has begun, if it has begun any.

    All but the first are quiet inside.

    Raises:
        RunError: another process has ended before the run has.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        yield
        return
    if device.type == "cuda":
        torch.cuda.set_device(device)
    backend = "cpu:gloo,cuda:nccl" if device.type == "cuda" else "gloo"
    store, number, count = next(rendezvous("env://"))
    if os.environ.get("GROUP_WORLD_SIZE", "1") == "1":
        # torchrun keeps its store, and in it where the killed processes could be reached.
        store = PrefixStore(f"restart{_restarts()}", store)
    dist.init_process_group(
        backend, store=store, rank=number, world_size=count, timeout=LONGEST_WAIT
    )
    try:
        with quietly() if rank() > 0 else nullcontext():
            yield
    except RuntimeError as error:
        if not isinstance(error, dist.DistError) and "gloo" not in str(error):
            raise
        raise RunError(
            f"Expected all {processes()} processes to go on. Got: process {rank()} has lost "
            f"another one, which was killed or has failed. Look for its error, then go on with "
            f"--resume, or let torchrun begin anew by --max-restarts."
        ) from None
    dist.destroy_process_group()


@contextmanager
def together() -> Iterator[None]:
    """End all processes where one of them cannot go on from what is inside.

    Raises:
        InputError: this is the first process with this error; others leave with its exit code.
        RunError: likewise.
    """
    error: InputError | RunError | None = None
    try:
        yield
    except (InputError, RunError) as raised:
        error = raised
    code = 0 if error is None else 2 if isinstance(error, InputError) else 1
    codes = [code] * processes()
    if processes() > 1:
        dist.all_gather_object(codes, code)
    failed = [number for number, each in enumerate(codes) if each]
    if error is not None and failed[0] == rank():
        raise error
    if failed:
        sys.exit(codes[failed[0]])


def from_first(work: Callable[[], Result]) -> Result:
    """Do some work in the first process alone, and return its result in all of them."""
    result: list[Any] = [work() if rank() == 0 else None]
    if processes() > 1:
        dist.broadcast_object_list(result, device=torch.device("cpu"))
    first: Result = result[0]
    return first


def largest(number: int) -> int:
    """Return the largest of the processes' numbers."""
    value = torch.tensor(number)
    if processes() > 1:
        dist.all_reduce(value, dist.ReduceOp.MAX)
    return int(value)


def summed(value: Tensor) -> Tensor:
    """Return the sum of a tensor over the processes, without a gradient."""
    total = value.detach().clone()
    if processes() > 1:
        dist.all_reduce(total)
    return total


def average(tensors: Iterable[Tensor]) -> None:
    """Replace tensors by their means over the processes, in one exchange of each type."""
    if processes() == 1:
        return
    of_type: dict[torch.dtype, list[Tensor]] = {}
    for tensor in tensors:
        of_type.setdefault(tensor.dtype, []).append(tensor)
    for alike in of_type.values():
        flat = torch.cat([tensor.reshape(-1) for tensor in alike])
        dist.all_reduce(flat)
        flat /= processes()
        sizes = [tensor.numel() for tensor in alike]
        for tensor, mean in zip(alike, flat.split(sizes), strict=True):
            tensor.copy_(mean.view_as(tensor))


def gathered(value: Tensor) -> Tensor:
    """Return the tensors (B, ...) of all processes, (n * B, ...), without a gradient.

    Sample b of process r is at b * n + r, its place in the global batch.
    """
    if processes() == 1:
        return value
    parts = [torch.empty_like(value) for _ in range(processes())]
    dist.all_gather(parts, value.contiguous())
    return torch.stack(parts, dim=1).flatten(0, 1)


def own(value: Tensor) -> Tensor:
    """Return this process's part of what `gathered` returned."""
    return value[rank() :: processes()]


def batch_norm(kind: Literal["local", "synchronised"]) -> AbstractContextManager[Any]:
    """Normalise inside by the statistics of this process's images, or by those of all."""
    if processes() == 1 or kind == "local":
        return nullcontext()
    return _SynchronisedBatchNorm()


class _Everywhere(torch.autograd.Function):
    """Values (K,) of this process to those of all, (n, K)."""

    @staticmethod
    def forward(ctx: Any, value: Tensor) -> Tensor:
        parts = [torch.empty_like(value) for _ in range(processes())]
        dist.all_gather(parts, value.contiguous())
        return torch.stack(parts)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        return summed(grad.contiguous())[rank()]


class _SynchronisedBatchNorm(TorchFunctionMode):
    """Batch normalisation by all processes' images, for any layer that calls `F.batch_norm`.

    `torch.nn.SyncBatchNorm` is for GPUs alone, and in place of timm's layers, which end in an
    activation, it would drop that.
    """

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        return (_batch_norm if func is F.batch_norm else func)(*args, **(kwargs or {}))


def _batch_norm(
    x: Tensor,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Tensor:
    """Do what `F.batch_norm` does, in training with the images of all processes."""
    if not training:
        return F.batch_norm(x, running_mean, running_var, weight, bias, False, momentum, eps)
    n, shape = processes(), (1, -1, *(1,) * (x.dim() - 2))
    var, mean = torch.var_mean(x.float(), [0, *range(2, x.dim())], correction=0)
    means, variances = _Everywhere.apply(torch.cat([mean, var])).chunk(2, dim=1)
    mean = means.mean(dim=0)
    var = variances.mean(dim=0) + means.var(dim=0, correction=0)
    if running_mean is not None and running_var is not None:
        count = n * x.numel() / x.shape[1]
        with torch.no_grad():
            running_mean.lerp_(mean, momentum)
            running_var.lerp_(var * count / (count - 1), momentum)
    scale = (var + eps).rsqrt()
    scale = scale if weight is None else scale * weight
    normal = (x - mean.view(shape)) * scale.view(shape)
    normal = normal if bias is None else normal + bias.view(shape)
    out: Tensor = normal.to(x.dtype)
    return out
