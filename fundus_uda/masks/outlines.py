"""Smooth outlines of disc and cup, drawn into a photograph or as SVG paths."""

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from scipy import ndimage
from skimage.measure import approximate_polygon, find_contours

from fundus_uda.masks.classes import BACKGROUND, CUP, Mask, Photograph

DISC_COLOUR, CUP_COLOUR = (64, 224, 64), (64, 160, 255)

MAX_SHIFT = 0.5
"""Largest distance in pixels of the mask that smoothing may move a point of an outline."""
SIGMA = 5.0
"""Standard deviation in pixels of the mask of the Gaussian that smooths an outline."""
STEP = 0.5
"""Distance in pixels of the mask between the points of an outline."""
FINE = 4
"""Factor by which lines are drawn larger and then shrunk, so that their edges are smooth."""
CHORD = 2.0
"""Distance in pixels of the picture between the points of a line that is drawn."""

Points = NDArray[np.float64]
"""Points (N, 2), x before y."""


def smooth_outlines(structure: NDArray[np.bool_]) -> list[Points]:
    """Trace the outlines of a structure as a reader would draw them, without the pixels' corners.

    Holes smaller than a twentieth of the structure are not traced. Larger ones are, since they say
    that the mask is wrong.

    Args:
        structure: (H, W) bool.

    Returns:
        Closed lines, without the first point again at the end, in pixels of the mask, whose corner
        is (0, 0). No point is farther than half a pixel from the line halfway between the pixels
        inside and outside, so that the outline shows what is measured.
    """
    rows, columns = (np.flatnonzero(structure.any(axis=axis)) for axis in (1, 0))
    if rows.size == 0:
        return []
    box = structure[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    filled = np.pad(_without_small_holes(box), 1).astype(np.float64)
    corner = np.array([columns[0], rows[0]]) - 0.5  # less the padding, plus half a pixel
    return [_smoothed(contour[:-1, ::-1]) + corner for contour in find_contours(filled, 0.5)]


def overlay(photograph: Photograph, mask: Mask) -> Photograph:
    """Draw the outlines of disc (green) and cup (blue) into a copy of a photograph.

    Args:
        photograph: (H, W, 3).
        mask: (h, w) of the same view, of any size.
    """
    height, width = photograph.shape[:2]
    thickness = FINE * max(1.5, max(height, width) / 300)
    every = max(1, round(CHORD / STEP * max(mask.shape) / max(height, width)))
    drawn = Image.fromarray(photograph)
    for structure, colour in ((mask != BACKGROUND, DISC_COLOUR), (mask == CUP, CUP_COLOUR)):
        canvas = Image.new("L", (width * FINE, height * FINE))
        for line in _scaled(structure, (height, width)):
            corners = line[::every]
            closed = [tuple(point) for point in np.vstack([corners, corners[:2]]) * FINE]
            ImageDraw.Draw(canvas).line(closed, 255, round(thickness), joint="curve")
        drawn.paste(colour, mask=canvas.reduce(FINE))
    return np.asarray(drawn)


def svg_path(structure: NDArray[np.bool_], size: tuple[int, int], coarse: bool = False) -> str:
    """Trace the smooth outlines of a structure as the `d` attribute of an SVG path.

    Args:
        structure: (H, W) bool.
        size: height and width of the picture under the path.
        coarse: whether a quarter of this precision is enough, which takes half the text.

    Returns:
        Closed lines in pixels of the picture, within 1/4000 of its longer side of
        `smooth_outlines`, so that they stay smooth when enlarged; "" for an empty structure.
    """
    lines = []
    longest = max(size)
    digits = 1 if longest >= 400 else 2
    tolerance = longest / (1600 if coarse else 6400)
    for line in _scaled(structure, size):
        points = approximate_polygon(np.vstack([line, line[:1]]), tolerance=tolerance)[:-1]
        if len(points) > 2:
            at = "L".join(f"{x:.{digits}f} {y:.{digits}f}" for x, y in points)
            lines.append(f"M{at}Z")
    return "".join(lines)


def _scaled(structure: NDArray[np.bool_], size: tuple[int, int]) -> list[Points]:
    """Return `smooth_outlines` in pixels of a picture of `size`, its height and width."""
    scale = np.array(size)[::-1] / np.array(structure.shape)[::-1]
    return [line * scale for line in smooth_outlines(structure)]


def _without_small_holes(structure: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Fill the holes smaller than a twentieth of the structure (H, W); their corners connect."""
    parts, _ = ndimage.label(np.pad(~structure, 1, constant_values=True), np.ones((3, 3)))
    areas = np.bincount(parts.ravel())
    small = areas < structure.sum() / 20
    small[[0, parts[0, 0]]] = False  # the structure itself, and what is outside
    filled: NDArray[np.bool_] = structure | small[parts[1:-1, 1:-1]]
    return filled


def _smoothed(line: Points) -> Points:
    """Smooth a closed line, moving no point by more than `MAX_SHIFT`."""
    around = np.vstack([line, line[:1]])
    travelled = np.concatenate([[0], np.hypot(*np.diff(around, axis=0).T).cumsum()])
    count = max(8, round(travelled[-1] / STEP))
    at = np.linspace(0, travelled[-1], count, endpoint=False)
    even = np.stack([np.interp(at, travelled, around[:, axis]) for axis in (0, 1)], axis=1)
    sigma = min(SIGMA, travelled[-1] / 16)  # a small part keeps its shape
    rounded = _limited(_low_pass(even, sigma), even)
    return _limited(_low_pass(rounded, min(1.0, sigma)), even)  # where the limit left a corner


def _low_pass(line: Points, sigma: float) -> Points:
    """Smooth by a Gaussian twice, so that what is round does not shrink (Taubin 1995)."""
    once = ndimage.gaussian_filter1d(line, sigma / STEP, axis=0, mode="wrap")
    smooth: Points = 2 * once - ndimage.gaussian_filter1d(once, sigma / STEP, axis=0, mode="wrap")
    return smooth


def _limited(moved: Points, line: Points) -> Points:
    """Move the points of `line` towards `moved` by at most `MAX_SHIFT`."""
    shift = moved - line
    length = np.hypot(*shift.T)[:, None]
    limited: Points = line + shift * np.minimum(1, MAX_SHIFT / np.maximum(length, 1e-9))
    return limited
