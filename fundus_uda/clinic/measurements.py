"""Cup-to-disc measurements of a mask (H, W) of classes 0 background, 1 rim, 2 cup.

The disc is rim and cup together. Heights and widths are extents along the rows and columns of the
photograph, from the first to the last pixel, which the photograph's rotation changes. The rim's
width by direction is in `fundus_uda.clinic.rim`.
"""

import math

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from fundus_uda.clinic.rim import rim_measurements
from fundus_uda.data.masks import BACKGROUND, CUP, RIM
from fundus_uda.engine.errors import InputError

Mask = NDArray[np.uint8]


def measure(
    mask: Mask, spacing_mm: tuple[float, float] | None = None, laterality: str | None = None
) -> dict[str, float | bool | None]:
    """All measurements of one mask.

    Args:
        mask: (H, W) uint8 in {0, 1, 2}.
        spacing_mm: of rows and of columns, in millimetres on the retina; None where unknown.
        laterality: "R" or "L" eye; None where unknown.

    Returns:
        Always the same keys in the same order. Measures that the mask does not allow are NaN, and
        yes-or-no measures None: all ratios where there is no disc, millimetres without spacing,
        nasal and temporal without laterality. Where there is a disc without a cup, ratios to the
        disc are 0 and the rim reaches the cup's would-be centre, that of the disc.

        - vertical_cdr, horizontal_cdr: height and width of the cup over those of the disc.
        - area_cdr: cup area over disc area.
        - vertical_cdr_refuge: `refuge_vertical_cup_to_disc_ratio`.
        - {disc, cup}_{height, width}_{pixels, mm}, {disc, cup}_area_{pixels, mm2}.
        - rim_* and isnt_rule and ddls_stage: see `fundus_uda.clinic.rim.rim_measurements`.
        - disc_components, cup_components: connected parts (corners connect), 0 for none. All
          parts count in all measures but those of the rim, which take the largest disc.
        - cup_touches_background: some cup pixel has a neighbour outside the disc (or the frame),
          so the rim is cut through there or the cup is outside the disc.

    Raises:
        InputError: a mask of another shape or with other values, a spacing that is not positive,
            or an unknown laterality.
    """
    if mask.ndim != 2 or not np.isin(mask, (BACKGROUND, RIM, CUP)).all():
        raise InputError(
            f"Expected a mask (H, W) of 0 background, 1 rim, 2 cup. Got: {mask.ndim} dimensions, "
            f"values from {mask.min()} to {mask.max()}."
        )
    check_arguments(spacing_mm, laterality)
    disc, cup = mask != BACKGROUND, mask == CUP
    rows, columns = spacing_mm or (math.nan, math.nan)
    measured: dict[str, float | bool | None] = {
        "vertical_cdr": vertical_cup_to_disc_ratio(mask),
        "horizontal_cdr": vertical_cup_to_disc_ratio(mask.T),
        "area_cdr": float(cup.sum() / disc.sum()) if disc.any() else math.nan,
        "vertical_cdr_refuge": refuge_vertical_cup_to_disc_ratio(mask),
    }
    for name, structure in (("disc", disc), ("cup", cup)):
        height, width, area = _rows_between(structure), _rows_between(structure.T), structure.sum()
        measured |= {
            f"{name}_height_pixels": height,
            f"{name}_width_pixels": width,
            f"{name}_area_pixels": int(area),
            f"{name}_height_mm": height * rows,
            f"{name}_width_mm": width * columns,
            f"{name}_area_mm2": float(area * rows * columns),
        }
    measured |= rim_measurements(mask, spacing_mm, laterality)
    beside_background = ndimage.binary_dilation(np.pad(~disc, 1, constant_values=True))[1:-1, 1:-1]
    return measured | {
        "disc_components": _components(disc),
        "cup_components": _components(cup),
        "cup_touches_background": bool((beside_background & cup).any()),
    }


def vertical_cup_to_disc_ratio(mask: Mask) -> float:
    """Height of the cup over height of the disc, from their topmost to their lowest row.

    Returns:
        0 where there is a disc without a cup, NaN where there is no disc.
    """
    disc = _rows_between(mask != BACKGROUND)
    return _rows_between(mask == CUP) / disc if disc else math.nan


def refuge_vertical_cup_to_disc_ratio(mask: Mask) -> float:
    """Largest count of cup pixels in a column over the largest count of disc pixels in one.

    The definition of the REFUGE challenge (Orlando et al. 2020, official evaluation code).

    It counts pixels where the other measures extent, so holes and fragments lower it.
    """
    disc = int((mask != BACKGROUND).sum(axis=0).max())
    return int((mask == CUP).sum(axis=0).max()) / disc if disc else math.nan


def check_arguments(spacing_mm: tuple[float, float] | None, laterality: str | None) -> None:
    """Raise an InputError for a spacing that is not positive or an unknown laterality."""
    if spacing_mm is not None and not all(0 < size < math.inf for size in spacing_mm):
        raise InputError(f"Expected a pixel spacing above 0 mm. Got: {spacing_mm}.")
    if laterality not in ("R", "L", None):
        raise InputError(f"Expected the laterality R, L or none. Got: {laterality!r}.")


def _components(structure: NDArray[np.bool_]) -> int:
    count: int = ndimage.label(structure, structure=np.ones((3, 3)))[1]
    return count


def _rows_between(structure: NDArray[np.bool_]) -> int:
    rows = np.flatnonzero(structure.any(axis=1))
    return int(rows[-1] - rows[0] + 1) if rows.size else 0
