"""The images of one domain, as the translations ask for them, and the field that they show."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from fundus_uda.engine.checkpoint import fingerprint

Image = NDArray[np.uint8]
"""(H, W, 3) RGB."""
Field = NDArray[np.bool_]
"""(H, W): where an image shows something, and not the black border around it."""


class Item(Protocol):
    """What both applications' lists have of an image."""

    @property
    def id(self) -> str:
        """Its name."""

    @property
    def image(self) -> Path:
        """Its file."""


@dataclass(frozen=True)
class Domain:
    """Images by index, read when asked for."""

    ids: list[str]
    read: Callable[[int], Image]
    """At its own size."""
    working_size: Callable[[int, int], tuple[int, int]]
    """From an image's height and width to those at which CyCADA's networks see it."""
    field: Callable[[Image], Field]
    fingerprint: str
    """Of the list, kept in checkpoints."""
    in_memory: bool
    """Whether all images fit there at their working size."""

    @classmethod
    def of(
        cls,
        items: Sequence[Item],
        read: Callable[[int], Image],
        working_size: Callable[[int, int], tuple[int, int]],
        field: Callable[[Image], Field],
        in_memory: bool,
    ) -> "Domain":
        """The images of an application's own list; its fingerprint is of ids and file sizes."""
        listed = [(item.id, item.image.stat().st_size) for item in items]
        ids = [name for name, _ in listed]
        return cls(ids, read, working_size, field, fingerprint(listed), in_memory)

    def __len__(self) -> int:
        return len(self.ids)


def whole_frame(image: Image) -> Field:
    """The field of an image without a border: all of it."""
    return np.ones(image.shape[:2], dtype=bool)


def as_image(values: NDArray[Any], source: Image, field: Field) -> Image:
    """Translated values (H, W, 3) in about [0, 255], clipped and rounded to an image.

    Outside the field, the pixels of `source` stay as they are.
    """
    image = np.clip(np.rint(values), 0, 255).astype(np.uint8)
    return np.where(field[..., None], image, source)
