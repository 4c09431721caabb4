"""Masks as NIfTI files, for research pipelines."""

from pathlib import Path

import nibabel
import numpy as np

from fundus_uda.errors import InputError
from fundus_uda.masks.classes import Mask


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
    nibabel.save(image, path)


def read_mask_nifti(path: Path) -> tuple[Mask, tuple[float, float] | None]:
    """Read a mask from one coronal slice, as the inverse of `write_mask_nifti`.

    Returns:
        The mask (H, W); the spacing of its rows and columns if the file states it in millimetres,
        else None.

    Raises:
        InputError: not a readable NIfTI file, more than one coronal slice, or values other than
            0, 1, 2.
    """
    try:
        stored = nibabel.Nifti1Image.from_filename(path)
        target = nibabel.orientations.axcodes2ornt("LIP")
        found = nibabel.orientations.io_orientation(stored.affine)
        image = stored.as_reoriented(nibabel.orientations.ornt_transform(found, target))
        values = np.asarray(image.dataobj)
    except Exception as error:  # a decoder may raise anything on damaged bytes
        got = type(error).__name__
        raise InputError(f"Expected a NIfTI mask at {path}. Got: {got}.") from None
    if values.shape[2:] != (1,) or not np.isin(values, (0, 1, 2)).all():
        raise InputError(
            f"Expected one coronal slice of 0 background, 1 rim, 2 cup in {path}. "
            f"Got: shape {values.shape}, values from {values.min()} to {values.max()}."
        )
    columns, rows = (float(size) for size in image.header.get_zooms()[:2])
    in_mm = image.header.get_xyzt_units()[0] == "mm"
    return values[..., 0].T.astype(np.uint8), (rows, columns) if in_mm else None
