"""Cup-to-disc measurements of a mask (H, W) of classes 0 background, 1 rim, 2 cup."""

import math

import numpy as np
from numpy.typing import NDArray

from fundus_uda.data.masks import BACKGROUND, CUP

Mask = NDArray[np.uint8]


def vertical_cup_to_disc_ratio(mask: Mask) -> float:
    """Height of the cup over height of the disc, from their topmost to their lowest row.

    Returns:
        0 where there is a disc without a cup, NaN where there is no disc.
    """
    disc = _rows_between(mask != BACKGROUND)
    return _rows_between(mask == CUP) / disc if disc else math.nan


def refuge_vertical_cup_to_disc_ratio(mask: Mask) -> float:
    """Largest count of cup pixels in a column over the largest count of disc pixels in one.

    The definition of the REFUGE challenge (Orlando et al. 2020, official evaluation code).

    It counts pixels where the other measures extent, so holes and fragments lower it.
    """
    disc = int((mask != BACKGROUND).sum(axis=0).max())
    return int((mask == CUP).sum(axis=0).max()) / disc if disc else math.nan


def _rows_between(structure: NDArray[np.bool_]) -> int:
    rows = np.flatnonzero(structure.any(axis=1))
    return int(rows[-1] - rows[0] + 1) if rows.size else 0
