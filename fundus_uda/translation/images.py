"""The images of one domain, as the translations ask for them, and the field that they show."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Image = NDArray[np.uint8]
"""(H, W, 3) RGB."""
Field = NDArray[np.bool_]
"""(H, W): where an image shows something, and not the black border around it."""


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
