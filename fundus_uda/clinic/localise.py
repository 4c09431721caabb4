"""Where the optic disc is in a whole photograph, and the square around it.

The photograph is shown at several sizes to a detector of discs of one size (`disc_evidence`), so
that a model trained on crops around the disc can read whole photographs.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage
from skimage.feature import peak_local_max
from skimage.measure import label, regionprops

from fundus_uda.clinic.disc_evidence import DISC, disc_evidence, faint_evidence
from fundus_uda.data.masks import BACKGROUND, CUP

Photograph = NDArray[np.uint8]
"""(H, W, 3) RGB."""

DISC_SHARE = 0.6
"""Diameter of the disc over the side of its square: that of the REFUGE crops."""

SIZE_STEP = 1.2
SMALLEST, LARGEST = 0.09, 0.30
"""Disc diameter over the diameter of the field: fields from about 60 down to 25 degrees."""
SMALLEST_IN_CUT, LARGEST_IN_CUT = 0.15, 0.85
"""Disc diameter over the frame's shorter side, where the frame cuts the field off."""
CROP_FROM, CROP_FROM_IF_CENTRED, CENTRED = 0.3, 0.25, 0.1
"""Such a photograph is a crop around the disc where the disc is as large as the first, or as large
as the second and as near to the frame's centre as the third; in shares of the frame's shorter side.

In a crop whose disc spans half of it or more, a cup of half the disc may be taken for the disc.
"""


@dataclass(frozen=True)
class DiscRegion:
    """A disc in a photograph, and the square around it. All in pixels of the photograph."""

    centre: tuple[float, float]
    """Row, column."""
    diameter: float
    rows: tuple[int, int]
    """First, and one past the last; the square may reach beyond the photograph."""
    columns: tuple[int, int]
    is_crop: bool
    """The photograph is a crop around the disc already: the region is all of it, square or not."""

    def crop(self, photograph: Photograph) -> Photograph:
        """The region of a photograph (H, W, 3); black beyond its borders."""
        inside, placed = self._overlap(photograph.shape)
        size = (self.rows[1] - self.rows[0], self.columns[1] - self.columns[0])
        cropped = np.zeros((*size, *photograph.shape[2:]), photograph.dtype)
        cropped[placed] = photograph[inside]
        return cropped

    def paste(self, mask: NDArray[np.uint8], shape: tuple[int, int]) -> NDArray[np.uint8]:
        """The inverse of `crop` for a mask of the region: (H, W) of `shape`, background around."""
        inside, placed = self._overlap(shape)
        whole = np.full(shape, BACKGROUND, np.uint8)
        whole[inside] = mask[placed]
        return whole

    def _overlap(self, shape: tuple[int, ...]) -> tuple[tuple[slice, slice], tuple[slice, slice]]:
        """What the region and a photograph share: in the photograph, in the region."""
        inside, placed = [], []
        for (first, last), length in zip((self.rows, self.columns), shape[:2], strict=True):
            start, stop = max(first, 0), min(last, length)
            inside.append(slice(start, stop))
            placed.append(slice(start - first, stop - first))
        return (inside[0], inside[1]), (placed[0], placed[1])


@dataclass(frozen=True)
class _Candidate:
    score: float
    centre: tuple[float, float]
    diameter: float


def locate_disc(
    photograph: Photograph,
    segment: Callable[[Photograph], NDArray[np.uint8]] | None = None,
    disc_share: float = DISC_SHARE,
) -> DiscRegion | None:
    """The optic disc of a photograph, or None where there is too little evidence of one.

    A frame of fewer than 32 pixels on a side shows none.

    Args:
        photograph: (H, W, 3) uint8 RGB, any size; a whole field, or a crop around the disc.
        segment: from a crop (h, w, 3) uint8 to its mask (h, w) of 0 background, 1 rim, 2 cup.
            Given one, a candidate in which it sees no disc is passed over. Where there is no
            candidate, a photograph that shows no whole field counts as a crop if `segment` sees a
            large, whole disc with a cup in its middle, and some evidence supports it there. It
            does not place the region: centred on and scaled by the disc that a network trained on
            REFUGE saw, the regions of IDRiD gave a disc Dice of 0.70, as found here of 0.87.
        disc_share: wanted disc diameter over the side of the region, in (0, 1).
    """
    frame, scale = _reduced(photograph, 512)
    field = field_of_view(frame)
    if min(photograph.shape[:2]) < DISC or not _may_be_retina(frame, field):
        return None
    height, width = photograph.shape[:2]
    side = min(height, width)
    whole_field = _shows_round_field(field)
    for found in _candidates(frame, field, whole_field):
        row, column = found.centre[0] / scale, found.centre[1] / scale
        diameter = found.diameter / scale
        centred = np.hypot(row - height / 2, column - width / 2) <= CENTRED * side
        close_up = diameter >= (CROP_FROM_IF_CENTRED if centred else CROP_FROM) * side
        if close_up and not whole_field:
            return DiscRegion((row, column), diameter, (0, height), (0, width), is_crop=True)
        region = _around((row, column), diameter, disc_share)
        if segment is None or (segment(region.crop(photograph)) != BACKGROUND).any():
            return region
    if segment is None or whole_field:
        return None
    return _seen_in_crop(photograph, segment)


def region_of(mask: NDArray[np.uint8], disc_share: float = DISC_SHARE) -> DiscRegion | None:
    """The square around the disc of a mask (H, W); None without a disc.

    The disc's centre is that of its pixels, its diameter that of a circle of its area.
    """
    rows, columns = np.nonzero(mask != BACKGROUND)
    if rows.size == 0:
        return None
    centre = float(rows.mean()), float(columns.mean())
    return _around(centre, 2 * float(np.sqrt(rows.size / np.pi)), disc_share)


def field_of_view(photograph: Photograph) -> NDArray[np.bool_]:
    """(H, W): where the photograph shows the eye and not the black border around it."""
    brightness = photograph.max(axis=2)
    dark = brightness < max(8.0, 0.15 * float(np.percentile(brightness, 90)))
    dark = ndimage.binary_opening(dark, iterations=2)
    regions, _ = ndimage.label(dark)
    at_edge = np.concatenate([regions[0], regions[-1], regions[:, 0], regions[:, -1]])
    border = np.isin(regions, at_edge[at_edge > 0])
    field: NDArray[np.bool_] = ndimage.binary_fill_holes(~border)
    return field


def round_field(photograph: Photograph) -> NDArray[np.bool_] | None:
    """(H, W): the one round field that may be retina; None where the photograph shows none.

    Round: a circle, which the frame may cut off, and no page and no letters on black.
    """
    field = field_of_view(photograph)
    if not _may_be_retina(photograph, field) or not _shows_round_field(field):
        return None
    parts, _ = ndimage.label(field)
    areas = np.bincount(parts.ravel())
    part: NDArray[np.bool_] = parts == areas[1:].argmax() + 1
    rows, columns = (np.flatnonzero(part.any(axis=axis)) for axis in (1, 0))
    box = part[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    middle = [(length - 1) / 2 for length in box.shape]
    y, x = np.ogrid[: box.shape[0], : box.shape[1]]
    circle = np.hypot(y - middle[0], x - middle[1]) <= max(box.shape) / 2
    alike = (box & circle).sum() / (box | circle).sum()
    return part if alike >= 0.9 and _shows_round_field(box) else None


def _reduced(photograph: Photograph, longest: int) -> tuple[Photograph, float]:
    height, width = photograph.shape[:2]
    scale = min(1.0, longest / max(height, width))
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    image = Image.fromarray(photograph).resize(size, Image.Resampling.BOX, reducing_gap=2.0)
    return np.asarray(image), scale


def _may_be_retina(frame: Photograph, field: NDArray[np.bool_]) -> bool:
    """Redder than blue; a picture without colour must show a round field instead."""
    pixels = frame[field].astype(np.float64) + 1
    if pixels.shape[0] < 0.1 * field.size:
        return False
    if (np.ptp(pixels, axis=1) < 3).mean() > 0.99:
        return _shows_round_field(field)
    red, green, blue = pixels.T
    return bool(np.median(red / blue) > 1.2 and np.median(red / green) > 1.02)


def _shows_round_field(field: NDArray[np.bool_]) -> bool:
    """At least three corners of the frame are dark."""
    height, width = field.shape
    k = max(2, min(height, width) // 20)
    corners = [field[rows, columns] for rows in (slice(k), slice(height - k, None))
               for columns in (slice(k), slice(width - k, None))]  # fmt: skip
    return sum(bool(corner.mean() < 0.5) for corner in corners) >= 3


def _candidates(frame: Photograph, field: NDArray[np.bool_], whole_field: bool) -> list[_Candidate]:
    """Up to three discs with enough evidence, best first, none within another."""
    extent = [np.ptp(np.flatnonzero(field.any(axis=axis))) + 1 for axis in (0, 1)]
    found: list[_Candidate] = []
    diameter, largest = (
        (SMALLEST * max(extent), LARGEST * max(extent))
        if whole_field
        else (SMALLEST_IN_CUT * min(extent), LARGEST_IN_CUT * min(extent))
    )
    while diameter <= largest:
        scale = DISC / diameter
        size = (max(1, round(frame.shape[1] * scale)), max(1, round(frame.shape[0] * scale)))
        resized = Image.fromarray(frame).resize(size, Image.Resampling.BILINEAR)
        inside = Image.fromarray(field).convert("L").resize(size, Image.Resampling.BOX)
        score = disc_evidence(np.asarray(resized), np.asarray(inside) == 255)
        for row, column in peak_local_max(
            score, min_distance=6, threshold_abs=0.0, num_peaks=5, exclude_border=False
        ):
            centre = (float(row + 0.5) / scale, float(column + 0.5) / scale)
            found.append(_Candidate(float(score[row, column]), centre, diameter))
        diameter *= SIZE_STEP
    best: list[_Candidate] = []
    for candidate in sorted(found, key=lambda candidate: -candidate.score):
        if len(best) < 3 and all(_apart(candidate, other) for other in best):
            best.append(candidate)
    return best


def _apart(a: _Candidate, b: _Candidate) -> bool:
    distance = np.hypot(a.centre[0] - b.centre[0], a.centre[1] - b.centre[1])
    return bool(distance > 0.5 * max(a.diameter, b.diameter))


def _around(centre: tuple[float, float], diameter: float, disc_share: float) -> DiscRegion:
    side = max(1, round(diameter / disc_share))
    top, left = (round(middle - side / 2) for middle in centre)
    return DiscRegion(centre, diameter, (top, top + side), (left, left + side), is_crop=False)


def _seen_in_crop(
    photograph: Photograph, segment: Callable[[Photograph], NDArray[np.uint8]]
) -> DiscRegion | None:
    """All of a photograph in which the segmenter sees what a crop around the disc shows.

    The limits lie between the 9 REFUGE and Drishti-GS crops (of 422) without a candidate and
    pieces of IDRiD fields without the disc, tinted streets, circles and clouds.
    """
    mask = segment(photograph)
    parts = regionprops(label(mask != BACKGROUND))
    if not parts:
        return None
    disc = max(parts, key=lambda part: part.area)
    height, width = mask.shape
    top, left, bottom, right = disc.bbox
    size = max(bottom - top, right - left) / min(height, width)
    row, column = disc.centroid
    off_centre = np.hypot(row - height / 2, column - width / 2) / min(height, width)
    plausible = (
        disc.area >= 0.9 * sum(part.area for part in parts)
        and disc.solidity >= 0.9
        and 0.3 <= size <= 1
        and off_centre <= 0.25
        and (mask == CUP).sum() >= 0.1 * disc.area
    )
    diameter = float(disc.equivalent_diameter_area)
    if not plausible or not _faintly_shown(photograph, (row, column), diameter):
        return None
    return DiscRegion((row, column), diameter, (0, height), (0, width), is_crop=True)


def _faintly_shown(photograph: Photograph, centre: tuple[float, float], diameter: float) -> bool:
    scale = DISC / diameter
    height, width = photograph.shape[:2]
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    resized = np.asarray(Image.fromarray(photograph).resize(size, Image.Resampling.BOX))
    return faint_evidence(resized, field_of_view(resized), (centre[0] * scale, centre[1] * scale))
