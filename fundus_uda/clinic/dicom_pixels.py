"""Read one frame of a DICOM file as 8-bit RGB. No error quotes the value of a tag.

These functions run in a child process (see `decoding`), since decoders can crash.
"""

import zlib
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import SimpleITK as sitk
from numpy.typing import NDArray
from PIL import Image
from pydicom.dataset import FileMetaDataset
from pydicom.encaps import get_frame
from pydicom.filereader import read_file_meta_info
from pydicom.multival import MultiValue
from pydicom.pixels.decoders.base import get_decoder
from pydicom.pixels.processing import convert_color_space
from pydicom.pixels.utils import pixel_array
from pydicom.uid import (
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000TransferSyntaxes,
    JPEGBaseline8Bit,
    JPEGExtended12Bit,
    JPEGLSTransferSyntaxes,
    JPEGTransferSyntaxes,
)

from fundus_uda.clinic.dicom_silence import silently
from fundus_uda.data.samples import MAX_MEGAPIXELS
from fundus_uda.errors import InputError
from fundus_uda.masks.classes import Photograph
from fundus_uda.masks.measurements import Laterality

MAX_INFLATED = 2**30
"""Largest number of bytes of a deflated data set; a small file may inflate to any number."""
MAX_FRAMES = 1000
"""Largest number of frames of a DICOM file; a damaged header may announce any number."""
READ_BY_GDCM = (*JPEGTransferSyntaxes, *JPEGLSTransferSyntaxes, *JPEG2000TransferSyntaxes)
"""Transfer syntaxes that GDCM, in SimpleITK, reads where pydicom and its plugins do not."""
TELLING_IDS = ((1, 2, 3), (82, 71, 66))
"""Ids of a JPEG stream's components by which libjpeg knows YCbCr, and RGB."""


@dataclass(frozen=True)
class DicomPhotograph:
    """One frame of a DICOM file, and what is passed on of its tags."""

    pixels: Photograph
    spacing_mm: tuple[float, float] | None
    """Spacing of rows and of columns, as stated; else None."""
    laterality: Laterality | None
    burned_in_text: bool


def is_dicom(path: Path) -> bool:
    """Check by its first 132 bytes for a DICOM file (PS3.10, 7.1), or a bare data set.

    A data set without preamble starts with a short element of group 2 or 8.

    Raises:
        OSError: the file cannot be read.
    """
    head = _head_of(path)
    return head[128:132] == b"DICM" or _is_bare(head)


@silently()
def count_frames(path: Path) -> int:
    """Count the frames that a DICOM file announces; 1 if it announces none."""
    _require_inflatable(path)
    data = pydicom.dcmread(
        path, specific_tags=["NumberOfFrames"], stop_before_pixels=True, force=_starts_bare(path)
    )
    return int(data.get("NumberOfFrames") or 1)


@silently()
def read_dicom(path: Path, frame: int) -> DicomPhotograph:
    """Read one frame of a DICOM file, whose index counts from 0.

    Raises:
        InputError: too many frames, no pixels, or see `frame_pixels`.
        Exception: the file is damaged.
    """
    _require_inflatable(path)
    bare = _starts_bare(path)
    data = pydicom.dcmread(path, defer_size=None if bare else 1024, force=bare)
    if bare:
        _complete(data)
    elif data.file_meta.TransferSyntaxUID == DeflatedExplicitVRLittleEndian:
        data = pydicom.dcmread(path)  # what is deflated cannot be read later from the file
    if int(data.get("NumberOfFrames") or 1) > MAX_FRAMES:
        raise InputError(f"Expected at most {MAX_FRAMES} frames. Got: {data.NumberOfFrames}.")
    if "PixelData" not in data:
        raise InputError("Expected a DICOM photograph. Got: a DICOM file without pixels.")
    return DicomPhotograph(
        frame_pixels(path, frame, data),
        _spacing(data),
        _laterality(data),
        _shows_text(data),
    )


def frame_pixels(path: Path, frame: int, data: pydicom.Dataset) -> Photograph:
    """Read the pixels (H, W, 3) RGB of one frame, scaled by the bits that the file says it uses.

    Args:
        path: DICOM file, of which only this frame is read where the file allows it.
        frame: index of the frame, from 0.
        data: data set of the file.

    Raises:
        InputError: the colour space is another, the transfer syntax cannot be read, or the values
            use a small part of those bits.
        Exception: the decoders fail on damaged pixels.
    """
    colours = str(data.PhotometricInterpretation)
    if colours != "RGB" and not colours.startswith(("YBR", "MONOCHROME")):
        raise InputError("Expected RGB, YBR or MONOCHROME pixels. Got: others.")
    _require_size(data)
    # pydicom converts only 8-bit pixels to RGB, so deeper ones are converted after the scaling.
    deep_ybr = colours.startswith("YBR_FULL") and data.BitsAllocated > 8
    syntax = data.file_meta.TransferSyntaxUID
    in_eight_bits = data.SamplesPerPixel == 3 and data.BitsAllocated == 8
    if not _pydicom_reads(syntax) and syntax not in READ_BY_GDCM:
        name = syntax.name if syntax.name != syntax else "an unknown one"
        raise InputError(
            f"Expected pixels in a transfer syntax that can be read. Got: {name}. Convert the file "
            "to Explicit VR Little Endian."
        )
    if syntax in READ_BY_GDCM:
        _require_said_size(_stream(data, frame), data)  # before a decoder makes room for it
    try:
        if syntax in (JPEGBaseline8Bit, JPEGExtended12Bit) and in_eight_bits:
            stored = _jpeg_pixels(_stream(data, frame), data, colours)
        else:
            whole = syntax == DeflatedExplicitVRLittleEndian or not data.preamble
            stored = pixel_array(data if whole else path, index=frame, raw=deep_ybr)
    except Exception:  # of the first decoder; the other one may know the stream
        # GDCM fills what is missing of a stream, or of plain pixels, with grey
        if syntax not in READ_BY_GDCM or not _is_whole(_stream(data, frame)):
            raise
        stored = sitk.GetArrayFromImage(sitk.ReadImage(str(path), imageIO="GDCMImageIO"))[frame]
        deep_ybr = False
    pixels = _eight_bits(stored, int(data.BitsStored), signed=data.PixelRepresentation == 1)
    if deep_ybr:
        pixels = convert_color_space(pixels, "YBR_FULL", "RGB")
    if colours == "MONOCHROME1":
        pixels = 255 - pixels
    return np.repeat(pixels[..., None], 3, axis=2) if pixels.ndim == 2 else pixels


def _jpeg_pixels(stream: bytes, data: pydicom.Dataset, colours: str) -> NDArray[np.uint8]:
    """Decode a JPEG stream of three components to RGB (H, W, 3).

    The stream is believed about its colours as libjpeg believes it, and the tag only where the
    stream says nothing.

    Raises:
        ValueError: the stream has another number of components than the tags say.
        OSError: the stream is damaged.
    """
    with Image.open(BytesIO(stream), formats=("JPEG",)) as image:
        if len(image.getbands()) != 3:
            raise ValueError("a stream of other components")
        layers = image.layer  # type: ignore[attr-defined]  # (id, horizontal, vertical, table)
        says = (
            not {"jfif", "adobe_transform"}.isdisjoint(image.info)
            or tuple(layer[0] for layer in layers) in TELLING_IDS
            or len({layer[1:3] for layer in layers}) > 1  # only chroma is subsampled
        )
        if colours == "RGB" and not says:
            image.draft("YCbCr", image.size)  # the components as they are
            return np.asarray(image)
        return np.asarray(image.convert("RGB"))


def _require_size(data: pydicom.Dataset) -> None:
    """Count the pixels by the tags, before anything is decoded.

    Raises:
        InputError: more than a photograph has.
    """
    if int(data.Rows) * int(data.Columns) > MAX_MEGAPIXELS * 10**6:
        raise InputError(
            f"Expected at most {MAX_MEGAPIXELS} megapixels. Got: {data.Columns}x{data.Rows}. Make "
            f"the image smaller."
        )


def _require_said_size(stream: bytes, data: pydicom.Dataset) -> None:
    """Compare the size in the header of a stream with that of the tags.

    Raises:
        ValueError: another size, or no such header: a damaged stream, or one that would fill the
            memory.
    """
    start = stream[:200].find(b"\xff\x4f\xff\x51")  # JPEG 2000 (ISO 15444-1, A.5.1)
    if start >= 0:
        head = stream[start : start + 24]
        right, lower, left, upper = (int.from_bytes(head[at : at + 4]) for at in (8, 12, 16, 20))
        said: tuple[int, int] | None = (lower - upper, right - left)
    else:
        said = _jpeg_size(stream)
    if said != (data.Rows, data.Columns):
        raise ValueError("a stream of another size")


def _jpeg_size(stream: bytes) -> tuple[int, int] | None:
    """Read rows and columns in the frame header of JPEG or JPEG-LS (ISO 10918-1, B.2.2)."""
    at = 2
    while at + 9 <= len(stream) and stream[at] == 0xFF:
        marker = stream[at + 1]
        if marker == 0xF7 or (0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC)):
            return int.from_bytes(stream[at + 5 : at + 7]), int.from_bytes(stream[at + 7 : at + 9])
        at += 1 if marker == 0xFF else 2 + int.from_bytes(stream[at + 2 : at + 4])
    return None


def _stream(data: pydicom.Dataset, frame: int) -> bytes:
    count = int(data.get("NumberOfFrames") or 1)
    stream: bytes = get_frame(data.PixelData, frame, number_of_frames=count)
    return stream


def _is_whole(stream: bytes) -> bool:
    """Check for the marker at the end of a stream of JPEG, JPEG-LS or JPEG 2000."""
    return stream.rstrip(b"\0").endswith(b"\xff\xd9")


def _require_inflatable(path: Path) -> None:
    """Inflate a deflated file piece by piece, to count its bytes before they are in the memory.

    Raises:
        InputError: there are more than a photograph has.
    """
    meta = FileMetaDataset() if _starts_bare(path) else read_file_meta_info(path)
    if meta.get("TransferSyntaxUID") != DeflatedExplicitVRLittleEndian:
        return
    with path.open("rb") as file:
        file.seek(128 + 4 + 12 + int(meta.FileMetaInformationGroupLength))
        left = file.read()
    inflated, inflate = 0, zlib.decompressobj(-zlib.MAX_WBITS)
    while left and inflated <= MAX_INFLATED:
        inflated += len(inflate.decompress(left, 2**20))
        left = inflate.unconsumed_tail
    if inflated > MAX_INFLATED:
        raise InputError(
            f"Expected a DICOM file that inflates to at most {MAX_INFLATED // 2**20} MB. Got: "
            f"more. Convert it to Explicit VR Little Endian."
        )


def _starts_bare(path: Path) -> bool:
    return _is_bare(_head_of(path))


def _head_of(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(132)


def _is_bare(head: bytes) -> bool:
    """Check for a data set without preamble, of little endian, by its first element."""
    if head[128:132] == b"DICM" or len(head) < 132 or head[:2] not in (b"\2\0", b"\10\0"):
        return False
    explicit = head[4:6].isalpha() and head[4:6].isupper()
    length = int.from_bytes(head[6:8] if explicit else head[4:8], "little")
    return head[3] == 0 and length <= 128


def _complete(data: pydicom.FileDataset) -> None:
    """Name the transfer syntax that a data set without file meta information was read in."""
    implicit, little = data.original_encoding
    plain = ExplicitVRLittleEndian if little else ExplicitVRBigEndian
    if "TransferSyntaxUID" not in data.file_meta:
        data.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian if implicit else plain


def _shows_text(data: pydicom.Dataset) -> bool:
    """Check Burned In Annotation (0028,0301), which may say anything but NO in many ways."""
    stated = data.get("BurnedInAnnotation")
    words = stated if isinstance(stated, MultiValue) else [stated]
    return any(str(word or "").strip().upper() not in ("", "NO") for word in words)


def _spacing(data: pydicom.Dataset) -> tuple[float, float] | None:
    """Return Pixel Spacing (0028,0030) of rows and columns; None unless both are above 0."""
    try:
        rows, columns = (float(value) for value in data.PixelSpacing)
    except (AttributeError, TypeError, ValueError):
        return None
    return (rows, columns) if 0 < rows < np.inf and 0 < columns < np.inf else None


def _laterality(data: pydicom.Dataset) -> Laterality | None:
    """Return Image Laterality (0020,0062), else Laterality (0020,0060); None unless R or L."""
    stated = str(data.get("ImageLaterality") or data.get("Laterality") or "").strip().upper()
    return "R" if stated == "R" else "L" if stated == "L" else None


def _eight_bits(stored: NDArray[Any], bits: int, signed: bool) -> NDArray[np.uint8]:
    """Scale stored values from the bits that the file announces to 8.

    Values that would all be nearly one colour use fewer bits than announced. Those of 8 bits are
    what converters write, and are taken as they are.

    Raises:
        InputError: the values use a small part of the announced range, and not that of 8 bits.
    """
    if bits == 8 and not signed:
        return stored.clip(0, 255).astype(np.uint8)
    levels = 2**bits - 1
    low, high = int(stored.min()), int(stored.max())
    if bits > 8 and 16 * (high - (low if signed else 0)) <= levels:
        if low < 0 or high > 255:
            raise InputError(
                f"Expected pixels that use their {bits} bits. Got: values from {low} to {high}, "
                f"which would be nearly one colour. Set BitsStored (0028,0101) to the bits in use."
            )
        return stored.astype(np.uint8)
    pixels = np.empty(stored.shape, np.uint8)
    for row, values in enumerate(stored):  # all at once would take eight bytes for each value
        scaled = values.astype(np.float64) + (2 ** (bits - 1) if signed else 0)
        pixels[row] = (scaled * (255 / levels)).round().clip(0, 255)
    return pixels


def _pydicom_reads(syntax: UID) -> bool:
    """Check whether pydicom has a decoder for the syntax, with all that the decoder needs."""
    try:
        decoder = get_decoder(syntax)
    except NotImplementedError:  # how pydicom says that it has none
        return False
    return decoder.is_available
