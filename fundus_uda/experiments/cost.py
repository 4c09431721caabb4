"""Cost of a training step: the columns of the paper's Table V."""

import weakref
from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import FlopCounterMode

from fundus_uda.engine.batches import Batch
from fundus_uda.engine.methods import METHODS
from fundus_uda.engine.randomness import seed_torch
from fundus_uda.engine.settings import EngineSettings
from fundus_uda.engine.state import TrainState, memory_format
from fundus_uda.engine.step import adaptation_step


class Cost(NamedTuple):
    """Cost of one call."""

    gflops: float
    """Floating-point operations (10^9) of convolutions and matrix products, forward and backward;
    a multiplication and an addition count as two. Elementwise operations are not counted."""
    peak_megabytes: float
    """Peak memory (10^6 bytes) of the tensors that the call made."""


def cost_of(call: Callable[[], Any]) -> Cost:
    """Run `call` once and count. The memory is that of tensors, the same on every device.

    Args:
        call: function to measure, for example one `adaptation_step` on a state that has made one
            before, so that the optimisers have their buffers.
    """
    memory = _TensorMemory()
    with FlopCounterMode(display=False) as flops, memory:
        call()
    return Cost(flops.get_total_flops() / 1e9, memory.peak / 1e6)


def cost_of_step(
    state: TrainState,
    source_size: tuple[int, int],
    target_size: tuple[int, int],
    settings: EngineSettings,
) -> Cost:
    """Measure the second of two updates on random images; the first makes optimiser buffers.

    Args:
        state: state to update; it is changed.
        source_size: (height, width) of the source images.
        target_size: (height, width) of the target images.
        settings: settings of the run.
    """
    method, count, layout = METHODS[settings.method], settings.batch_size, memory_format(settings)
    seed_torch(settings.seed, "cost")
    source = Batch(
        torch.randn(count, 3, *source_size), torch.zeros((count, *source_size), dtype=torch.int64)
    ).to(state.device, layout)
    image = torch.randn(count, 3, *target_size)
    target = Batch(image, strong=image if method.teacher == "mean" else None)
    target = target.to(state.device, layout)

    def step() -> None:
        adaptation_step(
            state,
            None if method.without_source else source,
            target if method.adapts else None,
            settings,
        )

    step()
    return cost_of(step)


class _TensorMemory(TorchDispatchMode):
    """Tracker of the storages that operations make, until they are freed."""

    def __init__(self) -> None:
        super().__init__()
        self.now = self.peak = 0
        self.alive: dict[int, weakref.ref[torch.UntypedStorage]] = {}

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        given = {id(s) for s in map(_storage, tree_leaves((args, kwargs))) if s is not None}
        out = func(*args, **(kwargs or {}))
        for storage in map(_storage, tree_leaves(out)):
            # an operation may return one of its inputs, which it did not make
            if storage is not None and id(storage) not in self.alive and id(storage) not in given:
                self._track(storage)
        return out

    def _track(self, storage: torch.UntypedStorage) -> None:
        key, size = id(storage), storage.nbytes()

        def freed(_: Any) -> None:
            self.now -= size
            del self.alive[key]

        self.alive[key] = weakref.ref(storage, freed)
        self.now += size
        self.peak = max(self.peak, self.now)


def _storage(leaf: Any) -> torch.UntypedStorage | None:
    return leaf.untyped_storage() if isinstance(leaf, Tensor) else None
