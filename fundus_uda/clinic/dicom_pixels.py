"""Read one frame of a DICOM file as 8-bit RGB. No error quotes the value of a tag."""

from pathlib import Path

import numpy as np
import pydicom
import SimpleITK as sitk
from pydicom.pixels.decoders.base import get_decoder
from pydicom.pixels.processing import convert_color_space
from pydicom.pixels.utils import pixel_array
from pydicom.uid import UID, JPEGLossless, JPEGLosslessSV1, JPEGLSLossless, JPEGLSNearLossless

from fundus_uda.errors import InputError
from fundus_uda.masks.classes import Photograph

READ_BY_GDCM = (JPEGLossless, JPEGLosslessSV1, JPEGLSLossless, JPEGLSNearLossless)
"""Transfer syntaxes for which pydicom needs a plugin."""


def frame_pixels(path: Path, frame: int, data: pydicom.Dataset) -> Photograph:
    """Read the pixels (H, W, 3) RGB of one frame, scaled by the bits that the file says it uses.

    Args:
        path: DICOM file, of which only this frame is read.
        frame: index of the frame, from 0.
        data: tags of the file; the pixels are not taken from it.

    Raises:
        InputError: the colour space is another, or the transfer syntax cannot be read.
        Exception: a decoder fails on damaged pixels.
    """
    colours = str(data.PhotometricInterpretation)
    if colours != "RGB" and not colours.startswith(("YBR", "MONOCHROME")):
        raise InputError("Expected RGB, YBR or MONOCHROME pixels. Got: others.")
    # pydicom converts only 8-bit pixels to RGB, so deeper ones are converted after the scaling.
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
    """Check whether pydicom has a decoder for the syntax, with all that the decoder needs."""
    try:
        decoder = get_decoder(syntax)
    except NotImplementedError:  # how pydicom says that it has none
        return False
    return decoder.is_available
