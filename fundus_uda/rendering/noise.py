"""Smooth random fields, of which textures are made."""

import numpy as np
from numpy.typing import NDArray
from PIL import Image

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
    count = int(np.ceil(cells)) + 2
    coarse = rng.standard_normal((count, count), np.float32)
    start = rng.uniform(0, 1, 2)
    box = (*start, *(start + min(cells, count - 1)))
    fine = Image.fromarray(coarse).resize((size, size), Image.Resampling.BICUBIC, box)
    return np.asarray(fine, np.float32) * np.float32(1.3)


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
