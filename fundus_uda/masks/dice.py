"""Dice of cup and disc per image, and its summary over a set."""

import math
from typing import TypedDict

import numpy as np
from numpy.typing import NDArray

from fundus_uda.masks.classes import BACKGROUND, CUP, Mask

DICE = ("dice_cup", "dice_disc", "dice_mean")
"""Columns of every table of Dice scores: those of the two structures, and their mean."""


class Summary(TypedDict):
    """Statistics of one column over the images; None where there are too few."""

    mean: float | None
    std: float | None
    ci95: list[float] | None
    n: int


def dice_cup_disc(predicted: Mask, reference: Mask) -> tuple[float, float]:
    """Compute the Dice of the cup and of the disc (rim and cup together), Eq. 8.

    Args:
        predicted: (H, W) of classes 0 background, 1 rim, 2 cup.
        reference: (H, W) of the same classes.

    Returns:
        Dice of the cup and of the disc, each in [0, 1]. A structure that is in neither mask
        scores 1; a structure that is in only one of them scores 0.
    """
    classes = CUP + 1
    pairs = classes * predicted.ravel().astype(np.intp) + reference.ravel()
    pixels = np.bincount(pairs, minlength=classes**2).reshape(classes, classes)
    return _dice(pixels, slice(CUP, None)), _dice(pixels, slice(BACKGROUND + 1, None))


def _dice(pixels: NDArray[np.intp], inside: slice) -> float:
    """Compute the Dice of some classes from the number of pixels of each pair of classes."""
    both = pixels[inside, inside].sum()
    either = pixels[inside].sum() + pixels[:, inside].sum()
    return float(2 * both / either) if either else 1.0


def summarise(values: NDArray[np.float64]) -> Summary:
    """Compute mean, sample standard deviation and 95 % bootstrap percentile interval of the mean.

    The interval comes from 10 000 resamples of the images with a fixed seed. A single image has
    neither deviation nor interval (None). A column of NaN, of a structure that nobody annotated,
    has n = 0 and no statistics.
    """
    from scipy.stats import bootstrap

    if np.isnan(values).all():
        return {"mean": None, "std": None, "ci95": None, "n": 0}
    n, mean = len(values), float(np.mean(values))
    if n < 2:
        return {"mean": mean, "std": None, "ci95": None, "n": n}
    interval = bootstrap(
        (values,), np.mean, n_resamples=10_000, method="percentile", rng=np.random.default_rng(0)
    ).confidence_interval
    low, high = float(interval.low), float(interval.high)
    if math.isnan(low):
        low = high = mean
    return {"mean": mean, "std": float(np.std(values, ddof=1)), "ci95": [low, high], "n": n}
