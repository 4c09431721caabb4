"""Masks as NIfTI files, for research pipelines."""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import nibabel
import numpy as np
from nibabel.imageglobals import logger
from numpy.typing import NDArray

from fundus_uda.errors import InputError
from fundus_uda.files import replacing
from fundus_uda.masks.classes import Mask
from fundus_uda.paths import require_no_stream

NIFTI_SUFFIXES = (".nii", ".nii.gz")
LEFT_RIGHT, FRONT_BACK, UP_DOWN = 0, 1, 2
"""Axes of NIfTI's world."""
ALONG = math.cos(math.radians(40))
"""Least cosine between an axis of a slice and the axis of the body along which it runs."""
MOST_VOXELS = 2**28
"""Largest mask that is read; a damaged header may announce any number."""


def write_mask_nifti(mask: Mask, path: Path, spacing_mm: tuple[float, float] | None = None) -> None:
    """Write a mask as one coronal slice (W, H, 1) in anatomical orientation.

    A fundus photograph faces the patient: its right is the patient's left, its bottom is inferior,
    and the view is towards posterior. So the axes are L, I, P of NIfTI's RAS+ world.

    Args:
        mask: (H, W) uint8 in {0, 1, 2}.
        path: file to write, ending in .nii or .nii.gz.
        spacing_mm: spacing of rows and of columns. Without it, pixels have size 1 in unknown units.
    """
    rows, columns = spacing_mm or (1.0, 1.0)
    affine = np.array(
        [[-columns, 0, 0, 0], [0, 0, -1, 0], [0, -rows, 0, 0], [0, 0, 0, 1]], dtype=np.float64
    )
    image = nibabel.Nifti1Image(mask.T[..., None], affine)
    image.header.set_xyzt_units("unknown" if spacing_mm is None else "mm")
    with replacing(path) as temporary:
        nibabel.save(image, temporary)


def read_mask_nifti(path: Path) -> tuple[Mask, tuple[float, float] | None]:
    """Read a mask from one slice in any plane.

    A coronal slice is turned as `write_mask_nifti` writes it. Other tools write a picture as an
    axial or sagittal slice. Its directions say nothing about a photograph, so it is taken as
    stored: columns along the axis from right to left or, without one, from front to back.

    Returns:
        The mask (H, W); the spacing of its rows and columns if the file states it in millimetres,
        else None.

    Raises:
        InputError: not a readable NIfTI file, not one slice, a slice whose rows and columns cannot
            be told apart, or values other than 0, 1, 2.
    """
    try:
        require_no_stream(path)
        with _silent_reader():
            stored = nibabel.Nifti1Image.from_filename(path)
        shape = (*stored.shape, 1, 1)[: max(3, stored.ndim)]
        axes = [axis for axis, length in enumerate(shape) if length != 1]
        if len(axes) != 2 or max(axes) > 2 or not 0 < math.prod(shape) <= MOST_VOXELS:
            raise InputError(
                f"Expected one slice of 0 background, 1 rim, 2 cup in {path}. Got: shape "
                f"{stored.shape}. Save the mask as one slice, or as an image."
            )
        directions = nibabel.orientations.io_orientation(stored.affine)
        columns, rows = _columns_and_rows(stored.affine, directions, axes, path)
        values = (
            np.asarray(stored.dataobj)
            .reshape(shape)
            .transpose(rows, columns, *_others(shape, axes))
        )
        values = values.reshape(values.shape[:2])
    except InputError:
        raise
    except Exception as error:  # a decoder may raise anything on damaged bytes
        got = type(error).__name__
        raise InputError(f"Expected a NIfTI mask at {path}. Got: {got}.") from None
    if not np.isin(values, (0, 1, 2)).all():
        raise InputError(
            f"Expected values 0 background, 1 rim, 2 cup in {path}. Got: from {values.min()} to "
            f"{values.max()}."
        )
    if {*directions[[columns, rows], 0]} == {LEFT_RIGHT, UP_DOWN}:  # coronal
        values = values[::-1] if directions[rows, 1] > 0 else values  # rows run down
        values = values[:, ::-1] if directions[columns, 1] > 0 else values  # columns run left
    zooms = (*(float(size) for size in stored.header.get_zooms()), 1.0, 1.0)
    in_mm = stored.header.get_xyzt_units()[0] == "mm"
    return values.astype(np.uint8), (zooms[rows], zooms[columns]) if in_mm else None


@contextmanager
def _silent_reader() -> Iterator[None]:
    """Keep from the terminal what nibabel says of odd headers, which is not for users."""
    logger.addFilter(_no_record)
    try:
        yield
    finally:
        logger.removeFilter(_no_record)


def _no_record(_: object) -> bool:
    return False


def _columns_and_rows(
    affine: NDArray[np.float64], directions: NDArray[np.float64], axes: list[int], path: Path
) -> tuple[int, int]:
    """Tell which of two axes of a slice are its columns and its rows, by where they run."""
    steps = affine[:3, axes] / np.linalg.norm(affine[:3, axes], axis=0)
    runs = directions[axes, 0]
    if np.isnan(runs).any() or np.abs(steps).max(axis=0).min() < ALONG:
        raise InputError(
            f"Expected a slice along the axes of the body in {path}. Got: an oblique one, whose "
            f"rows and columns cannot be told apart. Save the mask as an image."
        )
    first, second = axes if runs[0] < runs[1] else reversed(axes)
    return first, second


def _others(shape: tuple[int, ...], axes: list[int]) -> list[int]:
    return [axis for axis in range(len(shape)) if axis not in axes]
