"""Measure mask files made elsewhere, as a table."""

from pathlib import Path

import numpy as np
import pandas as pd

from fundus_uda.data.mask_files import read_mask
from fundus_uda.data.samples import Sample, first_duplicates, is_nifti, masks_in, stem_of
from fundus_uda.errors import InputError
from fundus_uda.masks.measurements import (
    DISC_MM,
    check_arguments,
    measure,
    parse_laterality,
    plausible_spacing,
)
from fundus_uda.masks.nifti import read_mask_nifti
from fundus_uda.output import note_passed_over

IMPLAUSIBLE = (
    f"Expected a spacing by which the disc is {DISC_MM[0]} to {DISC_MM[1]} mm high and wide. Got: "
    "another, so that millimetres are left blank."
)


def measure_files(
    paths: list[Path],
    spacing_mm: tuple[float, float] | None = None,
    laterality: str | None = None,
) -> pd.DataFrame:
    """Measure mask files, one row each.

    Args:
        paths: mask images with the values of `folder:` datasets (0, 1, 2 or REFUGE's), NIfTI files
            of 0, 1, 2, and folders, of which all images are taken and all NIfTI files whose name
            no image has.
        spacing_mm: spacing of rows and of columns of all masks; if None, the spacing that NIfTI
            states in millimetres.
        laterality: eye of all masks, a word of `measurements.EYES`; None if unknown.

    Returns:
        Columns image, status, reason, and the keys of `measurements.measure`. `image` is the name
        of the file without its suffix. `status` is "ok", or "unreadable" for an unreadable mask,
        whose row has the reason and blanks. A spacing that cannot be true is a reason, too, and
        leaves millimetres blank.

    Raises:
        InputError: nothing to read, two masks of one name, a wrong spacing or laterality.
    """
    eye = None if laterality is None else parse_laterality(laterality)
    check_arguments(spacing_mm, eye)
    files: list[Path] = []
    for path in paths:
        if not path.exists():
            raise InputError(f"Expected a mask or a folder of masks at {path}. Got: nothing.")
        files += _masks_in(path) if path.is_dir() else [path]
    if not files:
        raise InputError(f"Expected masks in {', '.join(map(str, paths))}. Got: none.")
    if pair := first_duplicates((stem_of(file), file) for file in files):
        raise InputError(
            f"Expected masks of different names, since rows are named after them. "
            f"Got: {pair[0]} and {pair[1]}. Measure them into tables of their own."
        )
    rows = []
    for file in files:
        row: dict[str, object] = {"image": stem_of(file), "status": "ok", "reason": ""}
        try:
            if is_nifti(file):
                mask, stated = read_mask_nifti(file)
            else:
                stated = None
                mask, _ = read_mask(Sample(file.stem, file, (file,), "labels"))
            given = spacing_mm or stated
            spacing = plausible_spacing(mask, given)
            if spacing != given:
                row["reason"] = IMPLAUSIBLE
            row |= measure(mask, spacing, eye)
        except InputError as error:
            # The folder is left out, since it may name a patient.
            row |= {"status": "unreadable", "reason": str(error).replace(str(file), file.name)}
        rows.append(row)
    measures = measure(np.zeros((1, 1), np.uint8))
    return pd.DataFrame(rows, columns=["image", "status", "reason", *measures])


def _masks_in(folder: Path) -> list[Path]:
    """List the masks of a folder, and tell which files are passed over."""
    masks = masks_in(folder)
    passed_over = {path for path in folder.iterdir() if not is_nifti(path)} - {*masks}
    note_passed_over(sorted(passed_over))
    return masks
