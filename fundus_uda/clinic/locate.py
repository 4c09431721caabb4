"""Locate the optic disc in a whole photograph, and the square around it.

A detector of discs of one size (`disc_evidence`) sees the photograph at several sizes. A model
trained on crops around the disc can then read whole photographs.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage
from skimage.feature import peak_local_max
from skimage.measure import label, regionprops

from fundus_uda.clinic.disc_evidence import DISC, RING, disc_evidence, faint_evidence
from fundus_uda.data.field import (
    box_of_field,
    field_of_view,
    may_be_retina,
    reflections,
    shows_round_field,
)
from fundus_uda.masks.classes import BACKGROUND, CUP, Mask, Photograph
from fundus_uda.masks.region import CROP_FROM, DISC_SHARE, DiscRegion, region_around

SIDE = 512
"""Longer side, in pixels, of the frame that is searched."""
SIZE_STEP = 1.2
SMALLEST, LARGEST = 0.09, 0.30
"""Limits of the disc diameter over the diameter of the field, for fields from about 60 down to 25
degrees."""
SMALLEST_IN_WIDE_FIELD = 0.05
"""Least such diameter in fields of up to 130 degrees, of cameras for neonates. It is searched for
where the usual sizes show little, since that takes as long again."""
CLEAR = 2.0
"""Evidence of a disc of a usual size with which no smaller one is searched for. A smaller one needs
as much more than one of a usual size has: a lesion beside a vessel resembles a small disc, and a
disc of a usual size tells that the field is no wide one."""
LEAST_PIXELS = DISC / 2
"""Least diameter of a smaller disc, in pixels of the frame: enlarged more, it shows no vessels."""
SMALLEST_IN_CUT, LARGEST_IN_CUT = 0.15, 0.85
"""Limits of the disc diameter over the frame's shorter side, if the frame cuts the field off."""
CROP_FROM_IF_CENTRED, CENTRED = 0.25, 0.1
"""Least diameter of a smaller disc that still makes a crop, and its largest distance from the
frame's centre; in shares of the frame's shorter side.

In a crop whose disc spans half of it or more, a cup of half the disc may be taken for the disc.
"""


@dataclass(frozen=True)
class _Candidate:
    score: float
    centre: tuple[float, float]
    diameter: float


def locate_disc(
    photograph: Photograph,
    segment: Callable[[Photograph], Mask] | None = None,
    disc_share: float = DISC_SHARE,
) -> DiscRegion | None:
    """Locate the optic disc of a photograph.

    Args:
        photograph: (H, W, 3) uint8 RGB of any size; a whole field, or a crop around the disc.
        segment: function from a crop (h, w, 3) uint8 to its mask (h, w) of 0 background, 1 rim,
            2 cup. If given, a candidate in which it sees no disc is skipped. Without a candidate, a
            photograph that shows no whole field counts as a crop if `segment` sees a large, whole
            disc with a cup in its middle and some evidence supports it there. `segment` does not
            place the region: on IDRiD, regions centred on and scaled by the disc that a network
            trained on REFUGE saw gave a disc Dice of 0.70, and regions found here gave 0.87.
        disc_share: wanted disc diameter over the side of the region, in (0, 1).

    Returns:
        The region around the disc; None if there is too little evidence of a disc, as in any frame
        of fewer than 32 pixels on a side.
    """
    frame, scale = _reduced(photograph, SIDE)
    field = field_of_view(frame)
    height, width = photograph.shape[:2]
    if min(height, width) < DISC or not may_be_retina(frame, field):
        return None
    side = min(height, width)
    whole_field = shows_round_field(field)
    top = left = 0
    if whole_field and (box := _box_of_small_field(field, scale)) is not None:
        top, left = box[0].start, box[1].start
        frame, scale = _reduced(photograph[box], SIDE)
        field = field_of_view(frame)
    for found in _candidates(frame, field, whole_field):
        row, column = found.centre[0] / scale + top, found.centre[1] / scale + left
        diameter = found.diameter / scale
        centred = np.hypot(row - height / 2, column - width / 2) <= CENTRED * side
        close_up = diameter >= (CROP_FROM_IF_CENTRED if centred else CROP_FROM) * side
        if close_up and not whole_field:
            return DiscRegion((row, column), diameter, (0, height), (0, width), is_crop=True)
        region = region_around((row, column), diameter, disc_share)
        if segment is None or (segment(region.crop(photograph)) != BACKGROUND).any():
            return region
    if segment is None or whole_field:
        return None
    return _seen_in_crop(photograph, segment)


def _reduced(photograph: Photograph, longest: int) -> tuple[Photograph, float]:
    height, width = photograph.shape[:2]
    scale = min(1.0, longest / max(height, width))
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    image = Image.fromarray(photograph).resize(size, Image.Resampling.BOX, reducing_gap=2.0)
    return np.asarray(image), scale


def _box_of_small_field(field: NDArray[np.bool_], scale: float) -> tuple[slice, slice] | None:
    """Return rows and columns of a photograph whose field is too small in the frame to search.

    Args:
        field: (H, W), of the frame.
        scale: pixels of the frame over those of the photograph.
    """
    rows, columns = box_of_field(field)
    if max(rows.stop - rows.start, columns.stop - columns.start) >= DISC / SMALLEST:
        return None
    grown = [slice(max(0, round((part.start - 2) / scale)), round((part.stop + 2) / scale))
             for part in (rows, columns)]  # fmt: skip
    return grown[0], grown[1]


def _candidates(frame: Photograph, field: NDArray[np.bool_], whole_field: bool) -> list[_Candidate]:
    """Find up to three discs with enough evidence, best first, none within another."""
    extent = [np.ptp(np.flatnonzero(field.any(axis=axis))) + 1 for axis in (0, 1)]
    if not whole_field:  # in a crop, what is white may be the cup
        cut = SMALLEST_IN_CUT * min(extent), LARGEST_IN_CUT * min(extent)
        return _best(_of_sizes(frame, field, *cut))
    eye = field & ~reflections(frame, field)
    smallest, largest = SMALLEST * max(extent), LARGEST * max(extent)
    usual = _best(_of_sizes(frame, eye, smallest, largest))
    best = usual[0].score if usual else 0.0
    if best >= CLEAR:
        return usual
    wide = max(SMALLEST_IN_WIDE_FIELD * max(extent), LEAST_PIXELS)
    # The edge of a field may shine, and a small disc lies far from that of its wide field.
    from_edge = ndimage.distance_transform_edt(np.pad(eye, 1))[1:-1, 1:-1]
    smaller = [
        found
        for found in _of_sizes(frame, eye, wide, smallest)
        if found.score >= best + CLEAR
        and from_edge[tuple(map(int, found.centre))] >= RING * found.diameter / 2
    ]
    return _best([*usual, *smaller])


def _of_sizes(
    frame: Photograph, field: NDArray[np.bool_], diameter: float, largest: float
) -> list[_Candidate]:
    """Find such discs of a diameter, and of larger ones up to the largest."""
    found: list[_Candidate] = []
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
    return found


def _best(found: list[_Candidate]) -> list[_Candidate]:
    """Return the three best candidates, none within another."""
    best: list[_Candidate] = []
    for candidate in sorted(found, key=lambda candidate: -candidate.score):
        if len(best) < 3 and all(_apart(candidate, other) for other in best):
            best.append(candidate)
    return best


def _apart(a: _Candidate, b: _Candidate) -> bool:
    distance = np.hypot(a.centre[0] - b.centre[0], a.centre[1] - b.centre[1])
    return bool(distance > 0.5 * max(a.diameter, b.diameter))


def _seen_in_crop(
    photograph: Photograph, segment: Callable[[Photograph], Mask]
) -> DiscRegion | None:
    """Return all of a photograph if the segmenter sees in it what a crop around the disc shows.

    The limits separate the 9 REFUGE and Drishti-GS crops (of 422) without a candidate from pieces
    of IDRiD fields without the disc, tinted streets, circles and clouds.
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
