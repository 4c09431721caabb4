"""Masks for research pipelines, beside the PNG."""

from pathlib import Path

import nibabel
import numpy as np
from numpy.typing import NDArray


def write_mask_nifti(
    mask: NDArray[np.uint8], path: Path, spacing_mm: tuple[float, float] | None = None
) -> None:
    """Write a mask as one coronal slice (W, H, 1) in anatomical orientation.

    A fundus photograph faces the patient: its right is the patient's left, its bottom inferior,
    and one looks towards posterior. So the axes are L, I, P of NIfTI's RAS+ world.

    Args:
        mask: (H, W) uint8 in {0, 1, 2}.
        path: ending in .nii or .nii.gz.
        spacing_mm: of rows and of columns. Without it, pixels have size 1 in unknown units.
    """
    rows, columns = spacing_mm or (1.0, 1.0)
    affine = np.array(
        [[-columns, 0, 0, 0], [0, 0, -1, 0], [0, -rows, 0, 0], [0, 0, 0, 1]], dtype=np.float64
    )
    image = nibabel.Nifti1Image(mask.T[..., None], affine)
    image.header.set_xyzt_units("unknown" if spacing_mm is None else "mm")
    nibabel.save(image, path)
