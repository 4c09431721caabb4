"""Evidence of an optic disc of one fixed size at each pixel, from five weights and no network.

The disc is round and bright against the retina around it (the template of Lalonde et al., IEEE
TMI 2001), and the vessels run towards it (the convergence of Hoover and Goldbaum, IEEE TMI 2003).
"""

from functools import cache, lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy import fft, ndimage
from skimage.morphology import disk

from fundus_uda.masks.classes import Photograph

Map = NDArray[np.float32]
"""Values (H, W), one per pixel."""
Field = NDArray[np.bool_]
"""Field of view (H, W), true where the photograph shows the eye."""

DISC = 32
"""Diameter in pixels of the disc that is searched for."""
RING = 1.7
"""Outer diameter of the ring around the disc, whose brightness the disc's is compared to, over the
disc's."""

WEIGHTS = np.array([6.6, 11.7, 2.0, 3.5, 0.8], np.float32)
"""Weights of the five measures, from a logistic regression. It was fitted on REFUGE and Drishti-GS
crops, their discs pasted into IDRiD fields whose own disc was painted over, such fields alone,
streets and noise."""
EVIDENCE_THRESHOLD = 10.6
"""Least weighted sum for a disc. The regression's own threshold is 9.9, but no answer is better
than a wrong one."""
MIN_CONVERGENCE, MIN_IF_PROMINENT, PROMINENT = 0.1, 0.15, 3.0
"""Least convergence of the vessels, and that of what has more than this prominence. Bright lesions,
lamps and circles can outshine a disc, but no vessels run towards them."""
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
    least = np.where(measures[4] < PROMINENT, MIN_CONVERGENCE, MIN_IF_PROMINENT)
    possible = fits & (measures[1] > least)
    score: Map = np.tensordot(WEIGHTS, measures, axes=1) - np.float32(EVIDENCE_THRESHOLD)
    return np.where(possible, score, np.float32(-np.inf))


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
    light = np.log(photograph.astype(np.float32) / 255 + np.float32(0.04))
    green = _filled(light[..., 1], field, DISC / 2)
    weighted = 0.7 * light[..., 1] + 0.3 * light[..., 0]
    both = _filled(weighted.astype(np.float32, copy=False), field, DISC)
    sums = _WindowSums((field.shape[0], field.shape[1]))
    correlation, contrast, fits = _bright_and_round(both, field, sums)
    convergence, density = _vessels_towards(green, field, sums)
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


def _bright_and_round(light: Map, field: Field, sums: "_WindowSums") -> tuple[Map, Map, Field]:
    """Correlate the brightness with a disc in its ring.

    Returns:
        The correlation, in [-1, 1]; the difference of disc and ring; where both fit in the field.
    """
    disc, ring = _windows()["disc"], _windows()["ring"]
    inside = field.astype(np.float32)
    without_vessels = ndimage.grey_closing(ndimage.gaussian_filter(light, 1), size=(7, 7))
    n_disc, n_ring = sums.of(inside, "disc", "ring")
    fits = (n_disc > 0.8 * disc.sum()) & (n_ring > 0.45 * ring.sum())
    n_disc, n_ring = n_disc.clip(1, None), n_ring.clip(1, None)
    in_disc, in_ring = sums.of(without_vessels * inside, "disc", "ring")
    contrast = in_disc / n_disc - in_ring / n_ring

    # Saturate the brightness, so that the rim counts as much as a bright cup.
    bright = np.tanh((without_vessels - _background(without_vessels, field)) / 0.2) * inside
    in_disc, in_ring = sums.of(bright, "disc", "ring")
    n = n_disc + n_ring
    (squares,) = sums.of(bright**2, "disc and ring")
    variance = squares / n - ((in_disc + in_ring) / n) ** 2
    difference = in_disc / n_disc - in_ring / n_ring
    correlation = difference * np.sqrt(n_disc * n_ring / variance.clip(1e-5, None)) / n
    return correlation, contrast, fits


def _vessels_towards(green: Map, field: Field, sums: "_WindowSums") -> tuple[Map, Map]:
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
    inner = field if field.all() else _eroded(field)
    depth = depth * inner * (xx + yy < anisotropy)
    usual = float(np.percentile(depth[inner], 90)) if inner.any() else 0.0
    strength = np.minimum(depth / max(usual, 0.03), 1)

    (total,) = sums.of(strength, "around")
    (aligned,) = sums.of(strength * cos2, "cos2")
    aligned += sums.of(strength * sin2, "sin2")[0]
    mean = float(strength[inner].mean()) if inner.any() else 0.0
    (pixels,) = sums.of(inner.astype(np.float32), "around")
    density = total / pixels.clip(1, None) / max(mean, 0.08)
    # Very few vessels are no evidence.
    return aligned / total.clip(0.08 * _windows()["around"].sum(), None), density


def _eroded(field: Field) -> Field:
    """Take away the field's outermost pixels, but not at the borders of the photograph."""
    inner: Field = ndimage.binary_erosion(field, iterations=4, border_value=1)
    return inner


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
    if field.all():  # a crop, mostly
        return light
    inside = field.astype(np.float32)
    near = _smooth(inside, sigma).clip(1e-3, None)
    filled = np.where(field, light, _smooth(light * inside, sigma) / near)
    return filled.astype(np.float32, copy=False)


def _smooth(values: Map, sigma: float) -> Map:
    """Smooth by a Gaussian many pixels wide: two products of matrices, faster than the sums."""
    down, across = (_gaussian(length, sigma) for length in values.shape)
    smooth = down @ values @ across.T
    return smooth.astype(np.float32, copy=False)


@lru_cache(maxsize=64)
def _gaussian(length: int, sigma: float) -> Map:
    """Compute the matrix (length, length) that smooths a line of pixels."""
    matrix: Map = ndimage.gaussian_filter1d(np.eye(length, dtype=np.float32), sigma, axis=0)
    return matrix


class _WindowSums:
    """Weighted sums over windows centred at each pixel, of maps of one shape, by transforms."""

    def __init__(self, shape: tuple[int, int]) -> None:
        self.shape = shape
        reach = max(window.shape[0] // 2 for window in _windows().values())
        # Room for what reaches beyond the border, and for a whole window around a small map.
        room = [max(length, reach + 1) + reach for length in shape]
        height, width = (fft.next_fast_len(length, real=True) for length in room)
        self.size = height, width

    def of(self, values: Map, *windows: str) -> list[Map]:
        """Return the sums of values (H, W) over each window, with 0 beyond the borders."""
        transform, of_window = fft.rfft2(values, self.size), _transforms(self.size)
        rows, columns = self.shape
        return [fft.irfft2(transform * of_window[name], self.size)[:rows, :columns]
                for name in windows]  # fmt: skip


@lru_cache(maxsize=16)
def _transforms(size: tuple[int, int]) -> dict[str, NDArray[np.complex64]]:
    """Compute the windows' transforms, for maps padded to a size."""
    transforms = {}
    for name, window in _windows().items():
        placed = np.zeros(size, np.float32)
        placed[: window.shape[0], : window.shape[1]] = window
        half = window.shape[0] // 2
        transforms[name] = np.conj(fft.rfft2(np.roll(placed, (-half, -half), axis=(0, 1))))
    return transforms


@cache
def _windows() -> dict[str, Map]:
    """Make the windows: disc, ring around it, and the vessels' surroundings with two weights."""
    distance, _ = _window(RING)
    disc, ring = distance < 0.9, (distance > 1.15) & (distance < RING)
    far, angle = _window(2.3)
    around = (far > 0.25) & (far < 2.2)
    windows = {
        "disc": disc,
        "ring": ring,
        "disc and ring": disc | ring,
        "around": around,
        "cos2": around * np.cos(2 * angle),
        "sin2": around * np.sin(2 * angle),
    }
    return {name: window.astype(np.float32) for name, window in windows.items()}


def _window(reach: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Compute distance, in disc radii, and direction from the centre of a square window."""
    half = int(np.ceil(reach * DISC / 2)) + 1
    y, x = np.mgrid[-half : half + 1, -half : half + 1].astype(np.float64)
    return np.hypot(y, x) / (DISC / 2), np.arctan2(y, x)
