"""Evidence of an optic disc of one fixed size at each pixel, from five weights and no network.

The disc is round and bright against the retina around it (the template of Lalonde et al., IEEE
TMI 2001), and the vessels run towards it (the convergence of Hoover and Goldbaum, IEEE TMI 2003).
"""

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.signal import fftconvolve
from skimage.morphology import disk

from fundus_uda.masks.classes import Photograph

Map = NDArray[np.float64]
"""Values (H, W), one per pixel."""
Field = NDArray[np.bool_]
"""Field of view (H, W), true where the photograph shows the eye."""

DISC = 32
"""Diameter in pixels of the disc that is searched for."""

WEIGHTS = np.array([6.6, 11.7, 2.0, 3.5, 0.8])
"""Weights of the five measures, from a logistic regression. It was fitted on REFUGE and Drishti-GS
crops, their discs pasted into IDRiD fields whose own disc was painted over, such fields alone,
streets and noise."""
EVIDENCE_THRESHOLD = 10.6
"""Least weighted sum for a disc. The regression's own threshold is 9.9, but no answer is better
than a wrong one."""
MIN_CONVERGENCE = 0.1
"""Least convergence of the vessels. Bright lesions, lamps and circles can outshine a disc, but no
vessels run towards them."""
FAINT, FAINT_DENSITY = -2.5, -0.5
"""Least sum minus `EVIDENCE_THRESHOLD`, and least logarithm of the vessels' density, where a
network sees the disc."""


def disc_evidence(photograph: Photograph, field: Field) -> Map:
    """Compute the evidence that a disc of `DISC` pixels across is centred at each pixel.

    Args:
        photograph: (H, W, 3) uint8 RGB.
        field: (H, W), from `field_of_view`.

    Returns:
        (H, W), above 0 where a disc is likely centred, -inf where none can be.
    """
    measures, fits = disc_measures(photograph, field)
    possible = fits & (measures[1] > MIN_CONVERGENCE)
    return np.where(possible, np.tensordot(WEIGHTS, measures, axes=1) - EVIDENCE_THRESHOLD, -np.inf)


def faint_evidence(photograph: Photograph, field: Field, centre: tuple[float, float]) -> bool:
    """Check for some evidence of a disc that a network sees, not enough to find it by itself.

    Args:
        photograph: (H, W, 3) uint8 RGB in which that disc is `DISC` pixels across.
        field: (H, W), from `field_of_view`.
        centre: row and column of that disc.
    """
    measures, _ = disc_measures(photograph, field)
    row, column = (max(0, round(at) - DISC // 5) for at in centre)
    near = measures[:, row : row + 2 * (DISC // 5) + 1, column : column + 2 * (DISC // 5) + 1]
    score = np.tensordot(WEIGHTS, near, axes=1) - EVIDENCE_THRESHOLD
    return bool(((score >= FAINT) & (near[2] >= FAINT_DENSITY)).any())


def disc_measures(photograph: Photograph, field: Field) -> tuple[Map, Field]:
    """Compute the five measures that `disc_evidence` weighs.

    Args:
        photograph: (H, W, 3) uint8 RGB.
        field: (H, W), from `field_of_view`.

    Returns:
        (5, H, W): correlation with a bright disc in a dark ring, convergence of the vessels,
        logarithm of their density, contrast, and prominence of that contrast in the field;
        (H, W): where a disc and half of its surroundings are in the field.
    """
    light = np.log(photograph.astype(np.float64) / 255 + 0.04)
    green = _filled(light[..., 1], field, DISC / 2)
    both = _filled(0.7 * light[..., 1] + 0.3 * light[..., 0], field, DISC)
    correlation, contrast, fits = _bright_and_round(both, field)
    convergence, density = _vessels_towards(green, field)
    if fits.any():
        middle = np.median(contrast[fits])
        spread = 1.48 * np.median(np.abs(contrast[fits] - middle)) + 0.01
    else:
        spread = 1.0
    measures = np.stack(
        [
            correlation,
            convergence,
            np.log(density.clip(0.1, None)),
            np.log1p(5 * contrast.clip(0, None)),
            (contrast / spread).clip(-2, 8),
        ]
    )
    return measures, fits


def _bright_and_round(light: Map, field: Field) -> tuple[Map, Map, Field]:
    """Correlate the brightness with a disc in its ring.

    Returns:
        The correlation, in [-1, 1]; the difference of disc and ring; where both fit in the field.
    """
    distance, _ = _window(1.7)
    disc = (distance < 0.9).astype(np.float64)
    ring = ((distance > 1.15) & (distance < 1.7)).astype(np.float64)
    inside = field.astype(np.float64)
    without_vessels = ndimage.grey_closing(ndimage.gaussian_filter(light, 1), size=(7, 7))
    plain = without_vessels * inside
    n_disc, n_ring = _sums(inside, disc), _sums(inside, ring)
    fits = (n_disc > 0.8 * disc.sum()) & (n_ring > 0.45 * ring.sum())
    n_disc, n_ring = n_disc.clip(1, None), n_ring.clip(1, None)
    contrast = _sums(plain, disc) / n_disc - _sums(plain, ring) / n_ring

    # Saturate the brightness, so that the rim counts as much as a bright cup.
    bright = np.tanh((without_vessels - _background(without_vessels, field)) / 0.2) * inside
    in_disc, in_ring = _sums(bright, disc), _sums(bright, ring)
    n = n_disc + n_ring
    variance = _sums(bright**2, disc + ring) / n - ((in_disc + in_ring) / n) ** 2
    difference = in_disc / n_disc - in_ring / n_ring
    correlation = difference * np.sqrt(n_disc * n_ring / variance.clip(1e-5, None)) / n
    return correlation, contrast, fits


def _vessels_towards(green: Map, field: Field) -> tuple[Map, Map]:
    """Measure the convergence of the vessels around each pixel, and their density.

    Returns:
        The mean of cos 2(angle between the vessel and the line to the pixel), weighted by vessel
        strength: 1 where all vessels run towards the pixel, 0 where they run in any direction, -1
        where all pass it; the density over its mean in the field.
    """
    fine = ndimage.gaussian_filter(green, 0.7)
    depth = ndimage.grey_closing(fine, footprint=disk(4)) - fine
    # Take the direction of the depth and not of the brightness, in which the outline of the disc
    # would outweigh the vessels that cross it.
    yy = ndimage.gaussian_filter(depth, 2, order=(2, 0))
    xx = ndimage.gaussian_filter(depth, 2, order=(0, 2))
    xy = ndimage.gaussian_filter(depth, 2, order=(1, 1))
    anisotropy = np.hypot(xx - yy, 2 * xy)
    cos2 = (xx - yy) / anisotropy.clip(1e-9, None)
    sin2 = 2 * xy / anisotropy.clip(1e-9, None)
    inner = ndimage.binary_erosion(field, iterations=4, border_value=1)
    depth = depth * inner * (xx + yy < anisotropy)
    usual = float(np.percentile(depth[inner], 90)) if inner.any() else 0.0
    strength = np.minimum(depth / max(usual, 0.03), 1)

    distance, angle = _window(2.3)
    around = ((distance > 0.25) & (distance < 2.2)).astype(np.float64)
    total = _sums(strength, around)
    aligned = _sums(strength * cos2, around * np.cos(2 * angle))
    aligned += _sums(strength * sin2, around * np.sin(2 * angle))
    mean = float(strength[inner].mean()) if inner.any() else 0.0
    density = total / _sums(inner.astype(np.float64), around).clip(1, None) / max(mean, 0.08)
    # Very few vessels are no evidence.
    return aligned / total.clip(0.08 * around.sum(), None), density


def _background(light: Map, field: Field) -> Map:
    """Estimate the brightness of the retina around each pixel: a low percentile over four discs."""
    step = DISC // 4
    coarse = np.where(field, light, np.median(light[field]) if field.any() else 0)[::step, ::step]
    percentile = ndimage.percentile_filter(coarse, 35, size=9, mode="reflect")
    zoom = [n / m for n, m in zip(light.shape, percentile.shape, strict=True)]
    smooth: Map = ndimage.zoom(percentile, zoom, order=1, mode="nearest", grid_mode=True)
    return smooth


def _filled(light: Map, field: Field, sigma: float) -> Map:
    """Extend the field's own brightness beyond its border, so that the border is no edge."""
    inside = field.astype(np.float64)
    near = ndimage.gaussian_filter(inside, sigma).clip(1e-3, None)
    return np.where(field, light, ndimage.gaussian_filter(light * inside, sigma) / near)


def _window(reach: float) -> tuple[Map, Map]:
    """Compute distance, in disc radii, and direction from the centre of a square window."""
    half = int(np.ceil(reach * DISC / 2)) + 1
    y, x = np.mgrid[-half : half + 1, -half : half + 1].astype(np.float64)
    return np.hypot(y, x) / (DISC / 2), np.arctan2(y, x)


def _sums(values: Map, window: Map) -> Map:
    """Compute the weighted sum of values over a window centred at each pixel."""
    sums: Map = fftconvolve(np.pad(values, [(n // 2,) * 2 for n in window.shape]),
                            window[::-1, ::-1], mode="valid")  # fmt: skip
    return sums
