"""One frame of a DICOM file to 8-bit RGB. No value of a tag is quoted in an error."""

from pathlib import Path

import numpy as np
import pydicom
import SimpleITK as sitk
from numpy.typing import NDArray
from pydicom.pixels.decoders.base import get_decoder
from pydicom.pixels.processing import convert_color_space
from pydicom.pixels.utils import pixel_array
from pydicom.uid import UID, JPEGLossless, JPEGLosslessSV1, JPEGLSLossless, JPEGLSNearLossless

from fundus_uda.engine.errors import InputError

READ_BY_GDCM = (JPEGLossless, JPEGLosslessSV1, JPEGLSLossless, JPEGLSNearLossless)
"""Transfer syntaxes that pydicom needs a plugin for."""

# Warnings of SimpleITK may quote the path or a tag.
sitk.ProcessObject.SetGlobalWarningDisplay(False)


def frame_pixels(path: Path, frame: int, data: pydicom.Dataset) -> NDArray[np.uint8]:
    """The pixels (H, W, 3) RGB of one frame, scaled by the bits that the file says it uses.

    Args:
        path: the file, of which that frame alone is read.
        frame: from 0.
        data: the file's tags; the pixels themselves are not taken from it.

    Raises:
        InputError: pixels of another colour space, or in a transfer syntax that nothing here reads.
        Exception: of a decoder, on damaged pixels.
    """
    colours = str(data.PhotometricInterpretation)
    if colours != "RGB" and not colours.startswith(("YBR", "MONOCHROME")):
        raise InputError("Expected RGB, YBR or MONOCHROME pixels. Got: others.")
    # pydicom's conversion to RGB takes 8 bits alone, ours follows the scaling to them.
    deep_ybr = colours.startswith("YBR_FULL") and data.BitsAllocated > 8
    syntax = data.file_meta.TransferSyntaxUID
    if _pydicom_reads(syntax):
        stored = pixel_array(path, index=frame, raw=deep_ybr)
    elif syntax in READ_BY_GDCM:
        stored = sitk.GetArrayFromImage(sitk.ReadImage(str(path), imageIO="GDCMImageIO"))[frame]
        deep_ybr = False
    else:
        name = syntax.name if syntax.name != syntax else "an unknown one"
        raise InputError(
            f"Expected pixels in a transfer syntax that can be read. Got: {name}. Convert the file "
            "to Explicit VR Little Endian."
        )
    levels = 2 ** int(data.BitsStored) - 1
    scaled = stored.astype(np.float64)
    if data.PixelRepresentation == 1:
        scaled += (levels + 1) // 2
    pixels = (scaled * (255 / levels)).round().clip(0, 255).astype(np.uint8)
    if deep_ybr:
        pixels = convert_color_space(pixels, "YBR_FULL", "RGB")
    if colours == "MONOCHROME1":
        pixels = 255 - pixels
    return np.repeat(pixels[..., None], 3, axis=2) if pixels.ndim == 2 else pixels


def _pydicom_reads(syntax: UID) -> bool:
    """Whether it has a decoder for the syntax, and what that decoder needs is installed."""
    try:
        decoder = get_decoder(syntax)
    except NotImplementedError:  # how pydicom says that it has none
        return False
    return decoder.is_available
