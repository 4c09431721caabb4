"""The field of view: the part of a photograph that shows the eye, not the border around it."""

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from fundus_uda.masks.classes import Photograph
from fundus_uda.masks.postprocess import largest_part

NEAR, PLAIN = 25, 0.9
"""Largest difference from a plain colour in grey values, and least share of a plain corner."""
RED_OVER_BLUE, RED_OVER_GREEN = 1.2, 1.02
"""Least ratios of colours of a retina."""
LEAST_FIELD = 0.03
"""Least share of a frame that the field takes, as of a lens held before a telephone."""
TINTED = 0.75
"""Share of these ratios that is enough where a round field says that this is an eye."""
LAMP, LAMP_AROUND, LAMP_OVER_EYE, GLARE = 235, 190, 2.5, 1.5
"""Least grey value of all colours somewhere in a reflection, and in all of its middle; least ratio
of that middle to the eye's own; reach of the glare beyond it, over its radius. A disc is yellowish,
so that its darkest colour is far from white, or as bright as the whole eye allows."""


def field_of_view(photograph: Photograph) -> NDArray[np.bool_]:
    """Find where a photograph shows the eye and not the black border around it.

    Args:
        photograph: (H, W, 3) uint8 RGB.

    Returns:
        (H, W) bool.
    """
    brightness = brightest(photograph)
    dark = brightness < max(8.0, 0.15 * float(np.percentile(brightness, 90)))
    if not dark.any():  # a crop, mostly
        return np.ones(dark.shape, np.bool_)
    dark = ndimage.binary_opening(dark, iterations=2)
    field: NDArray[np.bool_] = ndimage.binary_fill_holes(~_touching_edge(dark))
    return field


def on_black(photograph: Photograph) -> Photograph:
    """Paint a border of another plain colour black, as cameras do.

    Programs that convert or print photographs fill the border with white or another colour, which
    would otherwise count as eye.

    Args:
        photograph: (H, W, 3) uint8 RGB.

    Returns:
        (H, W, 3) uint8; the photograph itself if it has no such border.
    """
    colour = _border_colour(photograph)
    if colour is None:
        return photograph
    plain = (np.abs(photograph.astype(np.int16) - colour) < NEAR).all(axis=2)
    border = _touching_edge(plain)
    if border.mean() > 0.9:  # a page, and no photograph
        return photograph
    # Pixels beside the border are a mixture with its colour.
    border = ndimage.binary_dilation(border, iterations=2 + min(border.shape) // 500)
    return np.where(border[..., None], np.uint8(0), photograph)


def _touching_edge(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Keep the components of a mask (H, W) that touch the edge of the image."""
    regions, _ = ndimage.label(mask)
    at_edge = np.concatenate([regions[0], regions[-1], regions[:, 0], regions[:, -1]])
    kept: NDArray[np.bool_] = np.isin(regions, at_edge[at_edge > 0])
    return kept


def _border_colour(photograph: Photograph) -> NDArray[np.int16] | None:
    """Find the plain colour of at least three corners; None if it is black, or may be retina."""
    height, width = photograph.shape[:2]
    k = max(2, min(height, width) // 40)
    patches = [photograph[rows, columns].reshape(-1, 3).astype(np.int16)
               for rows in (slice(k), slice(height - k, None))
               for columns in (slice(k), slice(width - k, None))]  # fmt: skip
    medians = [np.median(patch, axis=0) for patch in patches]
    plain = [colour for patch, colour in zip(patches, medians, strict=True)
             if (np.abs(patch - colour).max(axis=1) < NEAR / 2).mean() > PLAIN]  # fmt: skip
    for colour in plain:
        red, green, blue = colour + 1
        may_be_retina = red / blue > RED_OVER_BLUE and red / green > RED_OVER_GREEN
        alike = sum(bool(np.abs(colour - other).max() < NEAR / 2) for other in plain)
        if alike >= 3 and colour.max() >= 2 * NEAR and not may_be_retina:
            return np.asarray(colour.round(), dtype=np.int16)
    return None


def reflections(photograph: Photograph, field: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Find the white reflections of a lamp, with their glare.

    Args:
        photograph: (H, W, 3) uint8 RGB.
        field: (H, W), from `field_of_view`.

    Returns:
        (H, W) bool; all false in a picture without colour, by which they cannot be told.
    """
    white = darkest(photograph)
    none = np.zeros(field.shape, np.bool_)
    if not field.any() or _lacks_colour(photograph[field]):
        return none
    usual = float(np.median(white[field])) + 1
    bright = field & (white >= max(LAMP_AROUND, LAMP_OVER_EYE * usual))
    middle = ndimage.binary_propagation(bright & (white >= LAMP), mask=bright)
    if not middle.any():
        return none
    parts, _ = ndimage.label(middle)
    radii = np.sqrt(np.bincount(parts.ravel()) / np.pi)
    distance, (row, column) = ndimage.distance_transform_edt(~middle, return_indices=True)
    glare: NDArray[np.bool_] = distance <= GLARE * radii[parts[row, column]]
    return glare


def box_of_field(field: NDArray[np.bool_]) -> tuple[slice, slice]:
    """Return rows and columns of the largest part of a field (H, W), without specks of noise."""
    part = largest_part(ndimage.binary_opening(field, iterations=2), connectivity=1)
    (box,) = ndimage.find_objects((part if part.any() else field).astype(np.int8)) or [None]
    if box is None:
        return slice(0, field.shape[0]), slice(0, field.shape[1])
    return box[0], box[1]


def round_field(photograph: Photograph) -> NDArray[np.bool_] | None:
    """Find the one round field that may be retina.

    A round field is a circle, which the frame may cut off. Neither a page nor letters on black are
    round fields.

    Args:
        photograph: (H, W, 3) uint8 RGB.

    Returns:
        (H, W) bool; None if the photograph shows no such field.
    """
    field = field_of_view(photograph)
    if not may_be_retina(photograph, field) or not shows_round_field(field):
        return None
    part = largest_part(field, connectivity=1)
    rows, columns = (np.flatnonzero(part.any(axis=axis)) for axis in (1, 0))
    box = part[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    middle = [(length - 1) / 2 for length in box.shape]
    y, x = np.ogrid[: box.shape[0], : box.shape[1]]
    circle = np.hypot(y - middle[0], x - middle[1]) <= max(box.shape) / 2
    alike = (box & circle).sum() / (box | circle).sum()
    return part if alike >= 0.9 and shows_round_field(box) else None


def may_be_retina(frame: Photograph, field: NDArray[np.bool_]) -> bool:
    """Check whether the field has the colour of a retina, redder than blue.

    A round field may have a tint, or no colour.

    Args:
        frame: (H, W, 3) uint8 RGB.
        field: (H, W), from `field_of_view`.
    """
    pixels = frame[field]
    if pixels.shape[0] < LEAST_FIELD * field.size:
        return False
    is_round = shows_round_field(field)
    if _lacks_colour(pixels):
        return is_round
    enough = TINTED if is_round else 1.0
    red, green, blue = (channel.astype(np.float64) + 1 for channel in pixels.T)
    return bool(
        (red / blue > enough * RED_OVER_BLUE).mean() > 0.5
        and (red / green > enough * RED_OVER_GREEN).mean() > 0.5
    )


def is_grey(photograph: Photograph) -> bool:
    """Check whether a photograph (H, W, 3) has no colour, by which a disc in a crop is known."""
    return _lacks_colour(photograph[::8, ::8].reshape(-1, 3))


def _lacks_colour(pixels: NDArray[np.uint8]) -> bool:
    """Check whether the channels of pixels (N, 3) are the same."""
    return bool((brightest(pixels) - darkest(pixels) < 3).mean() > 0.99)


def brightest(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return the largest channel of pixels (..., 3); `max(axis=-1)` takes ten times as long."""
    return np.maximum(np.maximum(pixels[..., 0], pixels[..., 1]), pixels[..., 2])


def darkest(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return the least channel of pixels (..., 3), as `brightest` returns the largest."""
    return np.minimum(np.minimum(pixels[..., 0], pixels[..., 1]), pixels[..., 2])


def shows_round_field(field: NDArray[np.bool_]) -> bool:
    """Check whether at least three corners of the frame are dark, by its field (H, W)."""
    height, width = field.shape
    k = max(2, min(height, width) // 20)
    corners = [field[rows, columns] for rows in (slice(k), slice(height - k, None))
               for columns in (slice(k), slice(width - k, None))]  # fmt: skip
    return sum(bool(corner.mean() < 0.5) for corner in corners) >= 3
