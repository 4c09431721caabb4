"""Cup-to-disc measurements of a mask (H, W) of classes 0 background, 1 rim, 2 cup.

The disc is rim and cup together. Heights and widths are extents from the first to the last pixel
along the columns and rows of the photograph, so they change when the photograph is rotated.
`fundus_uda.masks.rim` measures the width of the rim by direction.
"""

import math
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from fundus_uda.errors import InputError
from fundus_uda.masks.classes import BACKGROUND, CUP, RIM, Mask
from fundus_uda.masks.rim import rim_measurements

DISC_MM = (0.8, 3.5)
"""Least and largest height and width of a human disc, in millimetres."""
Laterality = Literal["R", "L"]
"""Right or left eye, as DICOM writes it."""
EYES: dict[str, Laterality] = {
    "r": "R", "od": "R", "re": "R", "right": "R", "l": "L", "os": "L", "le": "L", "left": "L"
}  # fmt: skip
"""Words for the eyes, in lower case."""


def measure(
    mask: Mask, spacing_mm: tuple[float, float] | None = None, laterality: str | None = None
) -> dict[str, float | bool | None]:
    """Measure cup, disc and rim of one mask.

    Args:
        mask: (H, W) uint8 in {0, 1, 2}.
        spacing_mm: spacing of rows and of columns, in millimetres on the retina; None if unknown.
        laterality: "R" for a right eye, "L" for a left eye; None if unknown.

    Returns:
        The same keys in the same order for every mask. Measures that the mask does not allow are
        NaN, and yes-or-no measures None: all ratios without a disc, millimetres without spacing,
        nasal and temporal without laterality. For a disc without a cup, ratios to the disc are 0
        and the rim reaches the disc's centre, where the cup would be.

        - vertical_cdr, horizontal_cdr: height and width of the cup over those of the disc.
        - area_cdr: cup area over disc area.
        - vertical_cdr_refuge: `refuge_vertical_cup_to_disc_ratio`.
        - {disc, cup}_{height, width}_{pixels, mm}, {disc, cup}_area_{pixels, mm2}.
        - rim_*, isnt_rule and ddls_stage: see `fundus_uda.masks.rim.rim_measurements`.
        - disc_components, cup_components: number of connected parts (corners connect), 0 for
          none. All measures count all parts, except those of the rim, which take the largest disc.
        - cup_touches_background: whether a cup pixel has a neighbour outside the disc (or the
          frame), so that the rim is cut through there or the cup is outside the disc.

    Raises:
        InputError: the mask has another shape or other values, the spacing is not positive, or
            the laterality is unknown.
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
    """Divide the height of the cup by that of the disc, each from its topmost to its lowest row.

    Returns:
        The ratio; 0 for a disc without a cup, NaN without a disc.
    """
    disc = _rows_between(mask != BACKGROUND)
    return _rows_between(mask == CUP) / disc if disc else math.nan


def refuge_vertical_cup_to_disc_ratio(mask: Mask) -> float:
    """Divide the largest count of cup pixels in a column by the largest count of disc pixels.

    This is the definition of the REFUGE challenge (Orlando et al. 2020, official evaluation code).
    It counts pixels where `vertical_cup_to_disc_ratio` takes extents, so holes and fragments lower
    it.

    Returns:
        The ratio; NaN without a disc.
    """
    disc = int((mask != BACKGROUND).sum(axis=0).max())
    return int((mask == CUP).sum(axis=0).max()) / disc if disc else math.nan


def refuge_ratio_error(
    predicted: NDArray[np.float64], reference: NDArray[np.float64]
) -> float | None:
    """Compute the mean absolute error of vertical ratios as the REFUGE challenge scores it.

    A mask without a disc counts with a ratio of 0, so that discs that are not found are no gain.

    Args:
        predicted: (N,) `refuge_vertical_cup_to_disc_ratio` of the predictions.
        reference: (N,) the same of the references.

    Returns:
        The error; None if no reference has a ratio.
    """
    if np.isnan(reference).all():
        return None
    return float(np.abs(np.nan_to_num(predicted) - np.nan_to_num(reference)).mean())


def plausible_spacing(
    mask: Mask, spacing_mm: tuple[float, float] | None
) -> tuple[float, float] | None:
    """Return a spacing by which the disc has a size that human discs have (`DISC_MM`), else None.

    Files state the spacing of another plane, micrometres, or the default 1 of a converter.

    Args:
        mask: (H, W) of classes 0 background, 1 rim, 2 cup; without a disc, any spacing is returned.
        spacing_mm: spacing of rows and of columns, in millimetres; None if unknown.
    """
    disc = mask != BACKGROUND
    if spacing_mm is None or not disc.any():
        return spacing_mm
    sizes = _rows_between(disc) * spacing_mm[0], _rows_between(disc.T) * spacing_mm[1]
    return spacing_mm if all(DISC_MM[0] <= size <= DISC_MM[1] for size in sizes) else None


def parse_laterality(text: str) -> Laterality:
    """Return the eye that a word names: "R" for R, OD, RE or right, "L" for L, OS, LE or left.

    Raises:
        InputError: another word.
    """
    found = EYES.get(text.strip().lower())
    if found is None:
        raise InputError(f"Expected the laterality OD, OS, R, L, right or left. Got: {text!r}.")
    return found


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
