"""What is known of disc and cup, whatever the network says."""

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from skimage.morphology import convex_hull_image

from fundus_uda.data.masks import BACKGROUND, CUP, RIM


def without_specks(mask: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """A mask without the parts of disc and cup of under a twentieth of their largest part.

    A speck of few pixels would count in heights and widths. Cup becomes rim, disc background.
    """
    kept = _large_parts(mask != BACKGROUND)
    cup = _large_parts((mask == CUP) & kept)
    cleaned: NDArray[np.uint8] = np.where(cup, CUP, np.where(kept, RIM, BACKGROUND)).astype(
        np.uint8
    )
    return cleaned


def with_convex_cup(mask: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """A mask (H, W) whose cup is filled up to its convex hull, inside the disc.

    Vessels cross the cup's edge and hide it, and a network takes them for rim. The hull of all
    cup pixels is taken: drop specks first.
    """
    if not (mask == CUP).any():
        return mask
    filled: NDArray[np.uint8] = mask.copy()
    filled[convex_hull_image(mask == CUP) & (mask != BACKGROUND)] = CUP
    return filled


def _large_parts(structure: NDArray[np.bool_]) -> NDArray[np.bool_]:
    parts, _ = ndimage.label(structure, structure=np.ones((3, 3)))
    areas = np.bincount(parts.ravel())
    areas[0] = 0
    large: NDArray[np.bool_] = (areas >= max(1, areas.max() / 20))[parts]
    return large
