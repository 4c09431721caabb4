"""The square around the optic disc: cropping a photograph to it, and pasting a mask back."""

from dataclasses import dataclass
from statistics import median

import numpy as np

from fundus_uda.masks.classes import BACKGROUND, Mask, Photograph

DISC_SHARE = 0.6
"""Disc diameter over the side of its square, as in the REFUGE crops."""

CROP_FROM = 0.3
"""Least disc diameter over the frame's shorter side at which a photograph counts as a crop."""


@dataclass(frozen=True)
class DiscRegion:
    """A disc in a photograph and the square around it, in pixels of the photograph."""

    centre: tuple[float, float]
    """Row and column."""
    diameter: float
    rows: tuple[int, int]
    """First row, and one past the last; the square may reach beyond the photograph."""
    columns: tuple[int, int]
    """First column, and one past the last."""
    is_crop: bool
    """Whether the photograph is a crop around the disc. All of it is the region, square or not."""

    def crop(self, photograph: Photograph) -> Photograph:
        """Crop a photograph (H, W, 3), or its mask (H, W), to the region; 0 beyond its borders."""
        inside, placed = self._overlap(photograph.shape)
        size = (self.rows[1] - self.rows[0], self.columns[1] - self.columns[0])
        cropped = np.zeros((*size, *photograph.shape[2:]), photograph.dtype)
        cropped[placed] = photograph[inside]
        return cropped

    def paste(self, mask: Mask, shape: tuple[int, int]) -> Mask:
        """Paste a mask of the region into background of `shape` (H, W), the inverse of `crop`."""
        inside, placed = self._overlap(shape)
        whole = np.full(shape, BACKGROUND, np.uint8)
        whole[inside] = mask[placed]
        return whole

    def _overlap(self, shape: tuple[int, ...]) -> tuple[tuple[slice, slice], tuple[slice, slice]]:
        """Return the overlap of region and photograph: slices of the photograph, of the region."""
        inside, placed = [], []
        for (first, last), length in zip((self.rows, self.columns), shape[:2], strict=True):
            start, stop = max(first, 0), min(last, length)
            inside.append(slice(start, stop))
            placed.append(slice(start - first, stop - first))
        return (inside[0], inside[1]), (placed[0], placed[1])


def region_of(mask: Mask, disc_share: float = DISC_SHARE) -> DiscRegion | None:
    """Return the square around the disc of a mask (H, W); None without a disc.

    The disc's centre is the mean of its pixels, and its diameter that of a circle of its area.

    Args:
        mask: (H, W) uint8 in {0, 1, 2}.
        disc_share: wanted disc diameter over the side of the square, in (0, 1).
    """
    rows, columns = np.nonzero(mask != BACKGROUND)
    if rows.size == 0:
        return None
    centre = float(rows.mean()), float(columns.mean())
    return region_around(centre, 2 * float(np.sqrt(rows.size / np.pi)), disc_share)


def region_around(centre: tuple[float, float], diameter: float, disc_share: float) -> DiscRegion:
    """Return the square around a disc, with a side of at least 1 pixel.

    Args:
        centre: row and column of the disc's centre.
        diameter: diameter of the disc in pixels.
        disc_share: wanted disc diameter over the side of the square, in (0, 1).
    """
    side = max(1, round(diameter / disc_share))
    top, left = (round(middle - side / 2) for middle in centre)
    return DiscRegion(centre, diameter, (top, top + side), (left, left + side), is_crop=False)


def disc_diameter(mask: Mask) -> float:
    """Measure the diameter of a circle of the disc's area, over the mask's shorter side.

    Returns:
        A share in [0, 1.13]; 0 without a disc.
    """
    region = region_of(mask)
    return region.diameter / min(mask.shape) if region else 0.0


def are_whole_photographs(diameters: list[float]) -> bool:
    """Check whether discs are too small for their photographs to be crops around the disc.

    Args:
        diameters: from `disc_diameter`, of the photographs that have a disc.
    """
    return bool(diameters) and median(diameters) < CROP_FROM
