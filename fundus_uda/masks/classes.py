"""The classes of a mask: 0 background, 1 rim, 2 cup. The optic disc is rim and cup together."""

import numpy as np
from numpy.typing import NDArray

BACKGROUND, RIM, CUP = 0, 1, 2
CLASSES = ("background", "rim", "cup")

Mask = NDArray[np.uint8]
"""Classes (H, W) in {0, 1, 2}."""
Photograph = NDArray[np.uint8]
"""RGB pixels (H, W, 3)."""


def disc_and_cup_to_classes(disc: NDArray[np.bool_], cup: NDArray[np.bool_]) -> tuple[Mask, int]:
    """Combine (H, W) masks of disc and cup into classes, with the cup clipped to the disc.

    Returns:
        The mask of classes; the count of cup pixels that were clipped.
    """
    classes = disc.astype(np.uint8) * RIM
    classes[disc & cup] = CUP
    return classes, int((cup & ~disc).sum())
