"""Images of one domain as the translations need them, and the field that they show."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from fundus_uda.engine.fingerprint import fingerprint_files

Image = NDArray[np.uint8]
"""RGB image, (H, W, 3)."""
Field = NDArray[np.bool_]
"""Mask (H, W) that is True where an image shows something other than its black border."""


class Item(Protocol):
    """Interface of an image in the lists of both applications."""

    @property
    def id(self) -> str:
        """Return the name of the image."""

    @property
    def image(self) -> Path:
        """Return the file of the image."""


@dataclass(frozen=True)
class Domain:
    """Images by index, read on demand."""

    ids: list[str]
    read: Callable[[int], Image]
    """Function that reads an image by its index, at its own size."""
    working_size: Callable[[int, int], tuple[int, int]]
    """Function from an image's height and width to those at which CyCADA's networks see it."""
    field: Callable[[Image], Field]
    """Function from an image to its field."""
    fingerprint: str
    """Fingerprint of the list, kept in checkpoints."""
    in_memory: bool
    """Whether all images fit in memory at their working size."""

    @classmethod
    def of(
        cls,
        items: Sequence[Item],
        read: Callable[[int], Image],
        working_size: Callable[[int, int], tuple[int, int]],
        field: Callable[[Image], Field],
        in_memory: bool,
    ) -> "Domain":
        """Build a domain from an application's list; its fingerprint is of ids and images."""
        ids = [item.id for item in items]
        listed = fingerprint_files((item.id, item.image, ()) for item in items)
        return cls(ids, read, working_size, field, listed, in_memory)

    def __len__(self) -> int:
        return len(self.ids)


def scaled_to_width(width: int, image_height: int, image_width: int) -> tuple[int, int]:
    """Return (height, width) of an image that is scaled to a width, at its own aspect."""
    return round(image_height * width / image_width), width


def whole_frame(image: Image) -> Field:
    """Return the field of an image without a border: all of it."""
    return np.ones(image.shape[:2], dtype=bool)


def as_image(values: NDArray[Any], source: Image, field: Field) -> Image:
    """Clip and round translated values (H, W, 3) in about [0, 255] to an image.

    Pixels outside the field are those of `source`.
    """
    image = np.clip(np.rint(values), 0, 255).astype(np.uint8)
    return np.where(field[..., None], image, source)
