"""Post-processing of predicted masks, by what is known of disc and cup."""

import numpy as np
from numpy.typing import NDArray
from skimage.measure import label
from skimage.morphology import convex_hull_image

from fundus_uda.masks.classes import BACKGROUND, CUP, RIM, Mask


def remove_small_components(mask: Mask) -> Mask:
    """Remove the parts of disc and cup smaller than a twentieth of their largest part.

    A speck of a few pixels would count in heights and widths. Removed parts of the cup become rim,
    removed parts of the disc become background.

    Args:
        mask: (H, W) uint8 in {0, 1, 2}.
    """
    kept = _large_parts(mask != BACKGROUND)
    cup = _large_parts((mask == CUP) & kept)
    cleaned: Mask = np.where(cup, CUP, np.where(kept, RIM, BACKGROUND)).astype(np.uint8)
    return cleaned


def fill_cup_hull(mask: Mask) -> Mask:
    """Fill the cup of a mask up to its convex hull, inside the disc.

    Vessels cross the cup's edge and hide it, and a network takes them for rim. The hull contains
    all cup pixels, so call `remove_small_components` first.

    Args:
        mask: (H, W) uint8 in {0, 1, 2}.
    """
    cup = mask == CUP
    if not cup.any():
        return mask
    rows, columns = (np.flatnonzero(cup.any(axis=axis)) for axis in (1, 0))
    box = slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)
    filled: Mask = mask.copy()
    filled[box][convex_hull_image(cup[box]) & (mask[box] != BACKGROUND)] = CUP
    return filled


def largest_part(structure: NDArray[np.bool_], connectivity: int = 2) -> NDArray[np.bool_]:
    """Return the largest connected part of a structure (H, W); all False if there is none.

    Args:
        structure: (H, W) bool.
        connectivity: 2 if pixels that share a corner are connected, 1 if only those with an edge.
    """
    parts = label(structure, connectivity=connectivity)
    areas = np.bincount(parts.ravel(), minlength=2)
    largest: NDArray[np.bool_] = parts == areas[1:].argmax() + 1
    return largest


def _large_parts(structure: NDArray[np.bool_]) -> NDArray[np.bool_]:
    parts = label(structure, connectivity=2)
    areas = np.bincount(parts.ravel())
    areas[0] = 0
    large: NDArray[np.bool_] = (areas >= max(1, areas.max() / 20))[parts]
    return large
