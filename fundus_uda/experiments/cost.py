"""Cost of a training step: the columns of the paper's Table V."""

import time
import weakref
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import FlopCounterMode

from fundus_uda.engine.batches import Batch
from fundus_uda.engine.methods import METHODS, map_to_discriminate
from fundus_uda.engine.randomness import seed_torch
from fundus_uda.engine.settings import EngineSettings
from fundus_uda.engine.state import TrainState, memory_format
from fundus_uda.engine.step import adaptation_step


class Cost(NamedTuple):
    """Cost of one training step."""

    forward_gmacs: float
    """GFLOPs as the paper counts them (see `forward_gmacs`)."""
    gflops: float
    """Floating-point operations (10^9) of convolutions and matrix products, forward and backward;
    a multiplication and an addition count as two. Elementwise operations are not counted."""
    peak_megabytes: float
    """Peak memory (10^6 bytes) of the tensors that the step made."""


def further_steps(runs: Sequence[tuple[int, float]]) -> list[float]:
    """Express what follows each run in steps of that run, by the cost of each run's steps.

    Args:
        runs: number of steps and cost of a step (any unit) of runs one after another.
    """
    work = [steps * cost for steps, cost in runs]
    return [sum(work[number + 1 :]) / cost for number, (_, cost) in enumerate(runs)]


class FakeTensors:
    """Context in which what is computed has a shape and no values, so that a step costs no time.

    The networks themselves are real: build them before.

    Every number that is read from a tensor is 1.
    """

    def __enter__(self) -> None:
        """Enter the context."""
        self._modes = (FakeTensorMode(allow_non_fake_inputs=True), _Ones())
        for mode in self._modes:
            mode.__enter__()

    def __exit__(self, *error: Any) -> None:
        """Leave the context."""
        for mode in reversed(self._modes):
            mode.__exit__(*error)


def forward_gmacs(
    state: TrainState,
    source_size: tuple[int, int],
    target_size: tuple[int, int],
    settings: EngineSettings,
) -> float:
    """Count as the paper's Table V does: one forward pass of each network over each image.

    Args:
        state: networks to count.
        source_size: (height, width) of a source image.
        target_size: (height, width) of a target image, which a method that adapts sees too.
        settings: settings of the run.

    Returns:
        Multiply-adds (10^9) of convolutions and matrix products. The paper's numbers are up to 6
        percent larger, since they count elementwise operations too.
    """
    method = METHODS[settings.method]
    sizes = [source_size, target_size] if method.adapts else [source_size]
    with torch.no_grad(), FlopCounterMode(display=False) as flops:
        for size in sizes:
            logits = state.segmenter.eval()(torch.zeros(1, 3, *size, device=state.device))
            if state.discriminator is not None and method.discriminator_input is not None:
                prob = logits.float().softmax(dim=1)
                state.discriminator(map_to_discriminate(method, prob, settings.affinity))
    return float(flops.get_total_flops() / 2e9)


def cost_of_step(
    state: TrainState,
    source_size: tuple[int, int],
    target_size: tuple[int, int],
    settings: EngineSettings,
) -> tuple[float, float]:
    """Count the second of two updates on random images; the first makes optimiser buffers.

    Args:
        state: state to update; it is changed.
        source_size: (height, width) of the source images.
        target_size: (height, width) of the target images.
        settings: settings of the run.

    Returns:
        `Cost.gflops` and `Cost.peak_megabytes`. The memory is that of tensors, the same on every
        device.
    """
    step = _step_on_random_images(state, source_size, target_size, settings)
    step()
    memory = _TensorMemory()
    with FlopCounterMode(display=False) as flops, memory:
        step()
    return flops.get_total_flops() / 1e9, memory.peak / 1e6


def seconds_of_step(
    state: TrainState,
    source_size: tuple[int, int],
    target_size: tuple[int, int],
    settings: EngineSettings,
) -> float:
    """Measure the seconds of the second of two updates on random images.

    The arguments are those of `cost_of_step`.
    """
    step = _step_on_random_images(state, source_size, target_size, settings)
    step()
    started = time.perf_counter()
    step()  # ends with the losses as numbers, so a GPU has ended, too
    return time.perf_counter() - started


def _step_on_random_images(
    state: TrainState,
    source_size: tuple[int, int],
    target_size: tuple[int, int],
    settings: EngineSettings,
) -> Callable[[], Any]:
    method, count, layout = METHODS[settings.method], settings.batch_size, memory_format(settings)
    seed_torch(settings.seed, "cost")
    source = Batch(
        torch.randn(count, 3, *source_size), torch.zeros((count, *source_size), dtype=torch.int64)
    ).to(state.device, layout)
    image = torch.randn(count, 3, *target_size)
    target = Batch(image, strong=image if method.teacher == "mean" else None)
    target = target.to(state.device, layout)
    # A fraction of the pixels would be picked by their values, which tensors may not have. Picking
    # is no operation that is counted.
    teacher = settings.adaptation.teacher.model_copy(update={"keep_fraction": None})
    adaptation = settings.adaptation.model_copy(update={"teacher": teacher})
    settings = settings.model_copy(update={"adaptation": adaptation})
    return partial(
        adaptation_step,
        state,
        None if method.without_source else source,
        target if method.adapts else None,
        settings,
    )


class _Ones(TorchDispatchMode):
    """Reader of fake tensors, which have no values: every number is 1."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func is torch.ops.aten._local_scalar_dense.default:
            return 1
        return func(*args, **(kwargs or {}))


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
