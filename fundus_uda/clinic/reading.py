"""Read a clinic's photographs, image files and DICOM, as pixels without the patient.

A file passes on its pixels, their spacing, which eye they show and whether they show text, and an
id that may be hashed. It passes on no other DICOM or EXIF value and no path, not even in the reason
of a failure.
"""

import csv
import hashlib
import hmac
import os
import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal
from urllib.parse import quote

import numpy as np
import pydicom
import SimpleITK as sitk
from PIL import Image

from fundus_uda.clinic.dicom_pixels import frame_pixels
from fundus_uda.data.samples import IMAGE_SUFFIXES, first_duplicates
from fundus_uda.data.transforms import read_photograph
from fundus_uda.errors import InputError
from fundus_uda.masks.classes import Photograph
from fundus_uda.masks.measurements import EYES, Laterality, parse_laterality

DICOM_SUFFIXES = (".dcm", ".dicom")
EYE_IN_NAME = re.compile(
    r"(?<![^\W_])(OD|OS|od|os|RE|LE|(?<=[-_])[RL])(?![^\W_])"  # a letter or digit on no side
)
MAX_FRAMES = 1000
"""Largest number of frames of a DICOM file; a damaged header may announce any number."""


@dataclass(frozen=True)
class PhotographFile:
    """Place of one photograph: a file, and a frame of it."""

    id: str
    """Id that is printable and can be a file name."""
    path: Path
    frame: int = 0
    """Index of the frame, from 0, in a DICOM file with several."""
    laterality: Laterality | None = None
    """Eye, as a CSV states it, or the file's name; None if neither does."""


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


def list_photographs(paths: list[Path], key: bytes | None = None) -> list[PhotographFile]:
    """List the photographs of image files, DICOM files, folders and CSV files.

    A folder stands for the files directly in it that are not hidden: those with an image suffix,
    `.dcm` or `.dicom`, and DICOM files of any other name, such as a UID. A CSV has the columns `id`
    and `path`, with paths relative to the CSV; missing files fail when they are read. It may have
    the column `laterality`, of words in `measurements.EYES` or blanks. Without a CSV, the id is the
    file name without a known suffix, with %XX for characters that cannot be printed. Each frame of
    a DICOM file with several is a photograph, `<id>-frame<n>` from 1.

    Where no CSV states the eye, the file name may: as OD or OS, RE or LE, or as R or L behind - or
    _, each as a whole word between characters that are neither letters nor digits.

    Args:
        paths: image files, DICOM files, folders and CSV files; the list keeps their order.
        key: if given, each id is replaced by the first 16 hex digits of its HMAC-SHA256 with this
            key.

    Raises:
        InputError: nothing to read, a CSV of another form, an id that is no file name, another word
            for an eye, or one id for two photographs.
    """
    silence_decoders()
    files: list[PhotographFile] = []
    for path in paths:
        if path.is_dir():
            files += [_named(file) for file in sorted(path.iterdir()) if _is_image(file)]
        elif not path.is_file():
            raise InputError(f"Expected an image, a folder or a CSV at {path}. Got: nothing.")
        elif path.suffix.lower() == ".csv":
            files += _listed(path)
        else:
            files.append(_named(path))
    if not files:
        raise InputError(f"Expected images in {', '.join(map(str, paths))}. Got: none.")
    named = (source for file in files for source in _frames(file))
    sources = [
        replace(source, id=_hashed(source.id, key) if key else _printable(source.id))
        for source in named
    ]
    if pair := first_duplicates((source.id, source.path) for source in sources):
        hidden = "two of one name, which --key-file keeps from view"
        which = hidden if key else " and ".join(_printable(path.name) for path in pair)
        raise InputError(
            f"Expected images of different names, since results are named after them. "
            f"Got: {which}. Rename one, or give a CSV with the columns id and path."
        )
    return sources


def read_key(path: Path) -> bytes:
    """Read the key of `list_photographs`, the bytes of a file without surrounding white space.

    Raises:
        InputError: no such file, or fewer than 16 bytes, which are too easy to guess.
    """
    if not path.is_file():
        raise InputError(f"Expected a file with the key at {path}. Got: nothing.")
    key = path.read_bytes().strip()
    if len(key) < 16:
        raise InputError(
            f"Expected a key of at least 16 bytes in {path}. Got: {len(key)}. "
            "Make one with `openssl rand -hex 32`."
        )
    return key


def read(file: PhotographFile) -> LoadedPhotograph:
    """Read one photograph; a failure is a status and a reason, not an exception."""
    silence_decoders()
    try:
        if not file.path.is_file():
            raise InputError("Expected a file. Got: nothing at its path.")
        if file.path.suffix.lower() in IMAGE_SUFFIXES:
            with Image.open(file.path) as header:
                if header.mode.startswith(("I", "F")):
                    raise InputError(
                        f"Expected 8 bits per colour. Got: mode {header.mode}. Save it as 8-bit "
                        "RGB, or give the DICOM file, which may have 16."
                    )
            pixels = read_photograph(file.path).permute(1, 2, 0).numpy()
            return LoadedPhotograph(file.id, "ok", pixels=pixels, laterality=file.laterality)
        return _read_dicom(file)
    except PermissionError:
        reason = "Expected a file that may be read. Got: no permission to."
        return LoadedPhotograph(file.id, "unreadable", reason)
    except Exception as error:  # a decoder may raise anything on damaged bytes
        # Only our own messages are passed on: a library's may quote the path or a tag.
        ours = isinstance(error, InputError) and str(file.path) not in str(error)
        kind = "DICOM file" if _is_dicom(file.path) else "image"
        reason = f"Expected a readable {kind}. Got: a damaged or unknown one."
        return LoadedPhotograph(file.id, "unreadable", str(error) if ours else reason)


def silence_decoders() -> None:
    """Turn off the warnings of pydicom and SimpleITK, for the whole process.

    They quote odd values of tags, and paths, which may identify a patient.
    """
    pydicom.config.settings.reading_validation_mode = pydicom.config.IGNORE
    sitk.ProcessObject.SetGlobalWarningDisplay(False)


def _read_dicom(file: PhotographFile) -> LoadedPhotograph:
    data = pydicom.dcmread(file.path, defer_size=1024)  # all but the pixels
    if int(data.get("NumberOfFrames") or 1) > MAX_FRAMES:
        raise InputError(f"Expected at most {MAX_FRAMES} frames. Got: {data.NumberOfFrames}.")
    if "PixelData" not in data:
        raise InputError("Expected a DICOM photograph. Got: a DICOM file without pixels.")
    return LoadedPhotograph(
        file.id,
        "ok",
        pixels=frame_pixels(file.path, file.frame, data),
        spacing_mm=_spacing(data),
        laterality=_agreed(file.laterality, _laterality(data)),
        burned_in_text=str(data.get("BurnedInAnnotation", "")).upper() == "YES",
    )


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


def _agreed(first: Laterality | None, second: Laterality | None) -> Laterality | None:
    """Return the eye that both name, or that one of them names; None if they differ."""
    return first or second if first is None or second is None or first == second else None


def _laterality_in(name: str) -> Laterality | None:
    """Return the eye that a file name states; None if it states none or both."""
    words = {parse_laterality(word) for word in EYE_IN_NAME.findall(name)}
    return words.pop() if len(words) == 1 else None


def _is_image(path: Path) -> bool:
    if path.name.startswith(".") or not path.is_file():
        return False
    try:
        return path.suffix.lower() in IMAGE_SUFFIXES or _is_dicom(path)
    except OSError:  # it may be one: `read` says what is wrong with it
        return True


def _named(path: Path) -> PhotographFile:
    id_ = _id_of(path)
    return PhotographFile(id_, path, laterality=_laterality_in(id_))


def _id_of(path: Path) -> str:
    """Return the name without a known suffix; a DICOM file's is often a UID, which has dots."""
    known = path.suffix.lower() in (*IMAGE_SUFFIXES, *DICOM_SUFFIXES)
    return path.stem if known else path.name


def _is_dicom(path: Path) -> bool:
    """Check for a DICOM suffix, or the magic word after the preamble (PS3.10, 7.1)."""
    if path.suffix.lower() in DICOM_SUFFIXES:
        return True
    if not path.is_file():
        return False
    with path.open("rb") as file:
        return file.read(132)[128:] == b"DICM"


def _frames(file: PhotographFile) -> list[PhotographFile]:
    try:
        if not _is_dicom(file.path) or not file.path.is_file():
            return [file]
        header = pydicom.dcmread(
            file.path, specific_tags=["NumberOfFrames"], stop_before_pixels=True
        )
        count = int(header.get("NumberOfFrames") or 1)
    except Exception:  # a file may be damaged in any way; `read` says what is wrong with it
        return [file]
    if not 1 < count <= MAX_FRAMES:
        return [file]
    return [replace(file, id=f"{file.id}-frame{n + 1}", frame=n) for n in range(count)]


def _listed(path: Path) -> list[PhotographFile]:
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            table = csv.DictReader(file)
            named = {"id", "path"} <= set(table.fieldnames or [])
            rows = [(table.line_num, row) for row in table] if named else []
    except (OSError, ValueError, csv.Error) as error:
        raise InputError(
            f"Expected {path} to be a CSV in UTF-8. Got: {type(error).__name__}. Save it anew."
        ) from None
    if not named:  # the first line is not quoted, since it may describe a patient
        raise InputError(
            f"Expected {path} to have the columns id and path, with a comma between. "
            "Got: a first line without them."
        )
    sources = []
    for line, row in rows:
        id_, file_name, eye = row["id"], row["path"], (row.get("laterality") or "").strip()
        # the id is not quoted, since it may name a patient
        if not id_ or id_.strip() in ("", ".", "..") or set(id_) & set('/\\:*?"<>|\0'):
            raise InputError(
                f"Expected ids in {path} that can be file names. Got: another in line {line}. "
                "Use letters, digits, - and _."
            )
        if not file_name:
            raise InputError(f"Expected a path in each line of {path}. Got: none in line {line}.")
        if eye and eye.lower() not in EYES:
            raise InputError(
                f"Expected the laterality OD, OS, R, L, right, left or none in each line of {path}."
                f" Got: another in line {line}."
            )
        place = path.parent / file_name
        stated = parse_laterality(eye) if eye else _laterality_in(_id_of(place))
        sources.append(PhotographFile(id_.strip(), place, laterality=stated))
    return sources


def _hashed(name: str, key: bytes) -> str:
    return hmac.new(key, os.fsencode(name), hashlib.sha256).hexdigest()[:16]


def _printable(name: str) -> str:
    """Write %XX for control characters, and for bytes outside the file system's encoding."""
    return "".join(c if c.isprintable() else quote(os.fsencode(c)) for c in name)
