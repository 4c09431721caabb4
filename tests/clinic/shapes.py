"""Masks whose measures are known exactly."""

import numpy as np


def ellipses(disc, cup=None, disc_centre=None, cup_shift=(0, 0), shape=(200, 300)) -> np.ndarray:
    """A mask of two ellipses, (half height, half width) each; centred unless told otherwise."""
    row, column = disc_centre or (shape[0] / 2, shape[1] / 2)
    y, x = np.mgrid[: shape[0], : shape[1]] + 0.5
    y, x = y - row, x - column
    mask = np.zeros(shape, dtype=np.uint8)
    mask[np.hypot(y / disc[0], x / disc[1]) < 1] = 1
    if cup is not None:
        mask[np.hypot((y - cup_shift[0]) / cup[0], (x - cup_shift[1]) / cup[1]) < 1] = 2
    return mask
