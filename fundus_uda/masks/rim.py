"""The neuroretinal rim by direction: widths, the ISNT rule, the disc damage likelihood scale.

Rays leave the centroid of the largest disc, one per degree. The width of the rim on a ray is the
distance from the disc's outline inwards to the cup's outline, or to the centroid if the ray meets
no cup. The ratio of the rim is its width over the disc's diameter on the same axis: about 0.5 for a
disc without a cup.
"""

import math
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from fundus_uda.masks.classes import BACKGROUND, CUP, Mask
from fundus_uda.masks.postprocess import largest_part

Rays = NDArray[np.float64]
"""Values of the rays (360,), clockwise from the first half degree right of straight up."""

HALF_QUADRANT, HALF_HOUR = 45, 15
"""Degrees to either side of the middle of a quadrant, and of a clock hour."""


def rim_measurements(
    mask: Mask, spacing_mm: tuple[float, float] | None, laterality: str | None
) -> dict[str, float | bool | None]:
    """Measure the rim of a mask (H, W) of 0 background, 1 rim, 2 cup.

    The arguments are those of `measurements.measure`, and measures are blank (NaN or None) in the
    same cases. All are blank as well if the disc's centroid is outside the disc.

    Returns:
        - rim_clock_{1..12}_{pixels, mm, ratio}: means over 30 degrees around each hour of a clock
          laid on the photograph, 12 at its top.
        - rim_{inferior, superior, nasal, temporal}_{pixels, mm, ratio}: means over 90 degrees.
          Nasal is to the right in a right eye and to the left in a left one, in photographs that
          are not mirrored.
        - rim_narrowest_ratio: the smallest ratio of all rays.
        - rim_absent_degrees: number of rays on which the cup reaches the outline of the disc.
        - isnt_rule: whether the quadrants' widths fall in the order inferior, superior, nasal,
          temporal (Jonas et al. 1988); differences below half a pixel are ties and do not break it.
        - ddls_stage: `disc_damage_stage` by the disc's height in millimetres; 1 without a cup.
    """
    widths = {"pixels": _blank(), "mm": _blank(), "ratio": _blank()}
    rays = _rays(mask, spacing_mm or (1.0, 1.0))
    if rays is not None:
        rim, diameter, pixels_per_unit = rays
        widths |= {"pixels": rim * pixels_per_unit, "ratio": rim / diameter}
        if spacing_mm is not None:
            widths["mm"] = rim

    sides = {"R": ("nasal", "temporal"), "L": ("temporal", "nasal")}.get(laterality or "", ())
    middles = {"superior": 0, "inferior": 180} | dict(zip(sides, (90, 270), strict=False))
    measured: dict[str, float | bool | None] = {}
    for hour in range(1, 13):
        for unit, of_rays in widths.items():
            measured[f"rim_clock_{hour}_{unit}"] = _mean_around(of_rays, 30 * hour, HALF_HOUR)
    quadrants: dict[str, float] = {}
    for name in ("inferior", "superior", "nasal", "temporal"):
        for unit, of_rays in widths.items():
            known = name in middles
            mean = _mean_around(of_rays, middles[name], HALF_QUADRANT) if known else math.nan
            quadrants[f"rim_{name}_{unit}"] = mean
    measured |= quadrants

    narrowest = float(widths["ratio"].min())
    absent = math.nan if rays is None else float((widths["pixels"] == 0).sum())
    unit, half_a_pixel = ("pixels", 0.5) if spacing_mm is None else ("mm", 0.5 * min(spacing_mm))
    order = [quadrants[f"rim_{n}_{unit}"] for n in ("inferior", "superior", "nasal", "temporal")]
    isnt = all(a > b - half_a_pixel for a, b in pairwise(order))
    return measured | {
        "rim_narrowest_ratio": narrowest,
        "rim_absent_degrees": absent,
        "isnt_rule": None if any(map(math.isnan, order)) else isnt,
        "ddls_stage": _stage(mask, narrowest, absent, spacing_mm),
    }


def disc_damage_stage(narrowest_ratio: float, absent_degrees: float, disc_mm: float) -> float:
    """Grade a disc on the disc damage likelihood scale (Spaeth et al. 2002; Bayer et al. 2002).

    Args:
        narrowest_ratio: smallest width of the rim over the disc's diameter on the same axis.
        absent_degrees: circumference without any rim, in degrees.
        disc_mm: height of the disc. A small disc, below 1.5, needs 0.1 more rim for the same stage
            (one stage more); a large disc, above 2, needs 0.1 less.

    Returns:
        The stage as a whole number from 1 to 10; NaN if an argument is NaN.
    """
    if math.isnan(narrowest_ratio + absent_degrees + disc_mm):
        return math.nan
    size = 1 if disc_mm < 1.5 else -1 if disc_mm > 2.0 else 0
    if absent_degrees == 0:
        # Rounded, so that 0.3 / 1 counts as 0.3 in binary fractions too.
        tenths = math.floor(round(narrowest_ratio * 10, 6))
        stage = 5 - tenths + size
    else:
        stage = 6 + sum(absent_degrees > limit for limit in (45, 90, 180, 270)) + size
    return float(min(max(stage, 1), 10))


def _stage(
    mask: Mask,
    narrowest_ratio: float,
    absent_degrees: float,
    spacing_mm: tuple[float, float] | None,
) -> float:
    if spacing_mm is None or math.isnan(narrowest_ratio):
        return math.nan
    disc = largest_part(mask != BACKGROUND)
    if not (mask[disc] == CUP).any():
        return 1.0  # all of it is rim, and the distance of the outline from the middle says nothing
    height = np.ptp(np.flatnonzero(disc.any(axis=1))) + 1
    return disc_damage_stage(narrowest_ratio, absent_degrees, height * spacing_mm[0])


def _rays(mask: Mask, spacing: tuple[float, float]) -> tuple[Rays, Rays, Rays] | None:
    """Measure rim width and disc diameter of each ray in units of spacing, and pixels per unit.

    Returns:
        The three; None without a disc, or if the disc's centroid is outside the disc.
    """
    disc = largest_part(mask != BACKGROUND)
    if not disc.any():
        return None
    cup = disc & (mask == CUP)
    row, column = (float(index.mean()) for index in np.nonzero(disc))
    if not disc[round(row), round(column)]:
        return None

    angle = np.radians(np.arange(360) + 0.5)
    per_unit = np.stack([-np.cos(angle) / spacing[0], np.sin(angle) / spacing[1]])  # (2, 360)
    pixels_per_unit = np.hypot(*per_unit)
    rows, columns = np.nonzero(disc)
    reach = float(np.hypot(rows - row, columns - column).max()) + 2
    steps = np.arange(0, reach, 0.25)  # pixels
    path = np.array([[[row]], [[column]]]) + (per_unit / pixels_per_unit)[..., None] * steps
    limits = np.array(mask.shape) + 1  # of the mask in a frame of background
    y, x = np.clip(path.round() + 1, 0, limits[:, None, None]).astype(np.intp)
    places = y * (limits[1] + 1) + x
    framed = (np.pad(structure, 1).ravel() for structure in (disc, cup))
    outline, inner = (_last_true(structure[places], steps) for structure in framed)
    diameter = outline + np.roll(outline, 180)
    return (outline - inner) / pixels_per_unit, diameter / pixels_per_unit, pixels_per_unit


def _last_true(along: NDArray[np.bool_], steps: Rays) -> Rays:
    """Find where each ray (360, steps) leaves a structure for good; 0 if it never meets it."""
    last = along.shape[1] - along[:, ::-1].argmax(axis=1)
    return np.where(along.any(axis=1), steps[np.minimum(last, len(steps) - 1)], 0.0)


def _mean_around(of_rays: Rays, middle: int, half: int) -> float:
    return float(np.roll(of_rays, half - middle)[: 2 * half].mean())


def _blank() -> Rays:
    return np.full(360, math.nan)
