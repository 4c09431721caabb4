"""Smooth random fields, of which textures are made."""

import numpy as np
from numpy.typing import NDArray

DEVIATION = (151 / 315) ** 0.5
"""Standard deviation of a sum of cubic B-splines with standard normal coefficients."""
FloatImage = NDArray[np.float32]
"""Values (H, W), or planes (C, H, W)."""


def smooth_noise(rng: np.random.Generator, size: int, cells: float) -> FloatImage:
    """Draw a smooth field of about standard normal values.

    Args:
        rng: generator.
        size: side of the field in pixels.
        cells: number of independent values along a side; the field varies over size / cells pixels.

    Returns:
        (size, size).
    """
    count = int(np.ceil(cells)) + 3
    rows, columns = (
        _cubic(1 + start + (np.arange(size) + 0.5) * (cells / size), count)
        for start in rng.uniform(0, 1, 2)
    )
    coefficients: FloatImage = rng.standard_normal((count, count), np.float32)
    return np.asarray(rows @ coefficients @ columns.T, np.float32)


def _cubic(at: NDArray[np.float64], count: int) -> FloatImage:
    """Return the values (len(at), count) of cubic B-splines at 0, 1, ..., which vary as noise."""
    off: FloatImage = np.abs(at[:, None] - np.arange(count)).astype(np.float32)
    near, far = 4 - 6 * off**2 + 3 * off**3, np.maximum(2 - off, 0) ** 3
    splines = np.where(off < 1, near, far) / np.float32(6 * DEVIATION)
    return np.asarray(splines, np.float32)


def fractal_noise(
    rng: np.random.Generator, size: int, cells: float, octaves: int = 3
) -> FloatImage:
    """Draw a field of about standard normal values with detail at several scales.

    Args:
        rng: generator.
        size: side of the field in pixels.
        cells: number of independent values along a side at the coarsest scale.
        octaves: number of scales, each twice as fine and 0.6 as strong as the one before.

    Returns:
        (size, size).
    """
    strengths = 0.6 ** np.arange(octaves, dtype=np.float32)
    total = sum(
        strength * smooth_noise(rng, size, min(cells * 2**octave, size))
        for octave, strength in enumerate(strengths)
    )
    field: FloatImage = total / np.sqrt((strengths**2).sum())
    return field


def ramp(values: FloatImage, low: float, high: float) -> FloatImage:
    """Map values from [low, high] to [0, 1] smoothly; below and above it they are 0 and 1."""
    share = ((values - low) / (high - low)).clip(0, 1)
    smooth: FloatImage = share * share * (3 - 2 * share)
    return smooth
