"""The endless batch stream of one domain: batch t is a function of (seed, domain, t) alone."""

import traceback
from collections.abc import Generator, Iterator, Sequence
from typing import NamedTuple, Protocol, TypeVar, cast

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

from fundus_uda.engine import distributed
from fundus_uda.engine.randomness import derive_seed
from fundus_uda.errors import InputError
from fundus_uda.stops import follow_parent

Item = TypeVar("Item")


class SampleKey(NamedTuple):
    """Index of a sample, and the seed of its random transforms in this epoch."""

    sample: int
    seed: int


class SeededDataset(Protocol):
    """Interface of data to the engine: a length, and a sample by key.

    A sample is {"image": (3, H, W) float32}; if labelled, with "label": (H, W) int64; for a mean
    teacher, with "strong": `image` in other colours. All samples of a dataset have the same size.
    """

    def __len__(self) -> int: ...

    def __getitem__(self, key: SampleKey) -> dict[str, Tensor]: ...

    def name(self, key: SampleKey) -> str:
        """Return the id of the image that a key stands for."""
        ...


class Batch(NamedTuple):
    """Images (B, 3, H, W) float32 and, for a labelled domain, labels (B, H, W) int64."""

    image: Tensor
    label: Tensor | None = None
    strong: Tensor | None = None
    """Image in other colours, the segmenter's input; the teacher's is `image`."""

    def to(self, device: torch.device, memory_format: torch.memory_format) -> "Batch":
        """Move the batch to a device."""
        image, strong = (
            None if x is None else x.to(device, non_blocking=True, memory_format=memory_format)
            for x in (self.image, self.strong)
        )
        label = None if self.label is None else self.label.to(device, non_blocking=True)
        assert image is not None
        return Batch(image, label, strong)


def evenly_spaced(items: Sequence[Item], count: int) -> list[Item]:
    """Return at most `count` evenly spaced items, from the first to the last."""
    places = np.linspace(0, len(items) - 1, min(count, len(items))).round().astype(int)
    return [items[place] for place in places]


def batch_keys(
    length: int, batch_size: int, seed: int, domain: str, step: int, shuffle: bool = True
) -> list[SampleKey]:
    """Return the samples of one step: a new permutation each epoch (or none), without gaps.

    A batch may span two epochs, so every sample is seen equally often and a domain smaller
    than the batch still fills it.
    """
    keys = []
    for position in range(step * batch_size, (step + 1) * batch_size):
        epoch, place = divmod(position, length)
        index = place
        if shuffle:
            generator = torch.Generator().manual_seed(derive_seed(seed, domain, "order", epoch))
            index = int(torch.randperm(length, generator=generator)[place])
        keys.append(SampleKey(index, derive_seed(seed, domain, "sample", epoch, index)))
    return keys


class _StepSampler(Sampler[list[SampleKey]]):
    def __init__(
        self, length: int, batch_size: int, seed: int, domain: str, start: int, shuffle: bool
    ) -> None:
        self.arguments = (length, batch_size, seed, domain)
        self.start, self.shuffle = start, shuffle
        self.slice = slice(distributed.rank(), None, distributed.processes())

    def __iter__(self) -> Iterator[list[SampleKey]]:
        step = self.start
        while True:
            yield batch_keys(*self.arguments, step, self.shuffle)[self.slice]
            step += 1


def batch_stream(
    dataset: SeededDataset,
    *,
    batch_size: int,
    seed: int,
    domain: str,
    start: int,
    workers: int,
    pin_memory: bool,
    shuffle: bool = True,
) -> Generator[Batch, None, None]:
    """Yield batches from step `start` on, without end; closed, it ends its processes.

    In a run of several processes (see `distributed`), they are this one's slices of the batches.

    Raises:
        InputError: the domain has no images, or one that the dataset refuses.
    """
    if len(dataset) == 0:
        raise InputError(f"Expected at least one {domain} image. Got: none.")
    loader = DataLoader(
        cast(Dataset[dict[str, Tensor]], dataset),
        batch_sampler=_StepSampler(len(dataset), batch_size, seed, domain, start, shuffle),
        num_workers=workers,
        pin_memory=pin_memory,
        worker_init_fn=_begin_worker,
        # Workers must not draw their base seed from the generator that the training step uses.
        generator=torch.Generator(),
    )
    try:
        for item in loader:
            yield Batch(item["image"], item.get("label"), item.get("strong"))
    except InputError as error:  # a worker's error has its traceback in the text
        traceback.clear_frames(error.__traceback__)  # which would keep the processes alive
        raise InputError(str(error).rpartition("InputError: ")[2].strip()) from None


def _begin_worker(_: int) -> None:
    follow_parent()
