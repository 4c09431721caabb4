"""Read a clinic's photographs, image files and DICOM, as pixels without the patient.

A file passes on its pixels, their spacing, which eye they show, whether they show text, and the id
by which it was listed. It passes on no other DICOM or EXIF value and no path, not even in the
reason of a failure.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from PIL import Image

from fundus_uda.clinic.decoding import DecoderDiedError, photograph_of
from fundus_uda.clinic.dicom_pixels import is_dicom
from fundus_uda.clinic.listing import DICOM_SUFFIXES, PhotographFile
from fundus_uda.data.field import on_black
from fundus_uda.data.photograph_files import MAX_ASPECT_RATIO, read_photograph
from fundus_uda.data.samples import MAX_MEGAPIXELS
from fundus_uda.errors import InputError
from fundus_uda.masks.classes import Photograph
from fundus_uda.masks.measurements import Laterality


@dataclass(frozen=True)
class LoadedPhotograph:
    """One photograph as read; only id, status and reason if that failed."""

    id: str
    status: Literal["ok", "unreadable"]
    reason: str = ""
    """Reason of a failure: what was expected and what was found."""
    pixels: Photograph | None = None
    """Pixels (H, W, 3) RGB, upright by their EXIF orientation."""
    spacing_mm: tuple[float, float] | None = None
    """Spacing of rows and of columns on the retina, as DICOM states it (nominal); else None."""
    laterality: Laterality | None = None
    """Eye, as DICOM, a CSV or the file's name states it; None if none does, or two differ."""
    burned_in_text: bool = False
    """Whether DICOM says that the pixels show text, which may name the patient."""


def read(file: PhotographFile) -> LoadedPhotograph:
    """Read one photograph; a failure is a status and a reason, not an exception.

    What a file is, DICOM or an image of any kind that Pillow knows, its content says.
    """
    kind = "DICOM file" if file.path.suffix.lower() in DICOM_SUFFIXES else "image"
    try:
        if not file.path.is_file():
            raise InputError("Expected a file. Got: nothing at its path.")
        if is_dicom(file.path):
            kind = "DICOM file"
            found = photograph_of(file.path, file.frame)
            return LoadedPhotograph(
                file.id,
                "ok",
                pixels=on_black(found.pixels),
                spacing_mm=found.spacing_mm,
                laterality=_agreed(file.laterality, found.laterality),
                burned_in_text=found.burned_in_text,
            )
        with Image.open(file.path) as header:
            if header.mode.startswith(("I", "F")):
                raise InputError(
                    f"Expected 8 bits per colour. Got: mode {header.mode}. Save it as 8-bit "
                    "RGB, or give the DICOM file, which may have 16."
                )
            if max(header.size) > MAX_ASPECT_RATIO * min(header.size):
                raise InputError(
                    f"Expected a photograph of sides at most {MAX_ASPECT_RATIO} to 1. "
                    f"Got: {header.width}x{header.height}."
                )
        photograph = read_photograph(file.path, file.stereo).permute(1, 2, 0)
        pixels = np.ascontiguousarray(photograph.numpy())
        return LoadedPhotograph(file.id, "ok", pixels=pixels, laterality=file.laterality)
    except PermissionError:
        reason = "Expected a file that may be read. Got: no permission to."
    except DecoderDiedError:
        reason = (
            "Expected a DICOM file that can be decoded. Got: one on which the decoder crashed or "
            "took too long."
        )
    except Image.DecompressionBombError:
        reason = f"Expected at most {MAX_MEGAPIXELS} megapixels. Got: more. Make the image smaller."
    except MemoryError:
        reason = f"Expected a photograph that fits into the memory. Got: a larger {kind}."
    except Exception as error:  # a decoder may raise anything on damaged bytes
        reason = f"Expected a readable {kind}. Got: a damaged or unknown one."
        # Only our own messages are passed on: a library's may quote the path or a tag.
        if isinstance(error, InputError) and str(file.path) not in str(error):
            reason = str(error)
    return LoadedPhotograph(file.id, "unreadable", reason)


def _agreed(first: Laterality | None, second: Laterality | None) -> Laterality | None:
    """Return the eye that both name, or that one of them names; None if they differ."""
    return first or second if first is None or second is None or first == second else None
