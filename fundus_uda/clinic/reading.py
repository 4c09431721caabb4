"""Read a clinic's photographs, image files and DICOM, as pixels without the patient.

A file passes on its pixels, their spacing, which eye they show and whether they show text, and an
id that may be hashed. It passes on no other DICOM or EXIF value and no path, not even in the reason
of a failure.
"""

import csv
import hashlib
import hmac
import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal
from urllib.parse import quote

from PIL import Image, UnidentifiedImageError

from fundus_uda.clinic.decoding import DecoderDiedError, frames_of, photograph_of
from fundus_uda.clinic.dicom_pixels import MAX_FRAMES, is_dicom
from fundus_uda.data.field import on_black
from fundus_uda.data.samples import (
    IMAGE_SUFFIXES,
    MAX_MEGAPIXELS,
    first_duplicates,
    may_name_a_file,
)
from fundus_uda.data.transforms import MAX_ASPECT_RATIO, read_photograph
from fundus_uda.errors import InputError
from fundus_uda.masks.classes import Photograph
from fundus_uda.output import note, passed_over

DICOM_SUFFIXES = (".dcm", ".dicom")


@dataclass(frozen=True)
class PhotographFile:
    """Place of one photograph: a file, and a frame of it."""

    id: str
    """Id that is printable and can be a file name."""
    path: Path
    frame: int = 0
    """Index of the frame, from 0, in a DICOM file with several."""


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
    laterality: Literal["R", "L"] | None = None
    """Right or left eye, as DICOM states it; else None."""
    burned_in_text: bool = False
    """Whether DICOM says that the pixels show text, which may name the patient."""


def list_photographs(paths: list[Path], key: bytes | None = None) -> list[PhotographFile]:
    """List the photographs of image files, DICOM files, folders and CSV files.

    A folder stands for the files directly in it that are not hidden: those with an image suffix,
    `.dcm` or `.dicom`, and DICOM files of any other name, such as a UID. A line on the terminal
    says how many others there are. A file that is given by its name may have any suffix. A CSV has
    the columns `id` and `path`, with paths relative to the CSV; missing files fail when they are
    read. Without a CSV, the id is the file name without a known suffix, with %XX for characters
    that cannot be printed. Each frame of a DICOM file with several is a photograph,
    `<id>-frame<n>` from 1.

    Args:
        paths: image files, DICOM files, folders and CSV files; the list keeps their order.
        key: if given, each id is replaced by the first 16 hex digits of its HMAC-SHA256 with this
            key.

    Raises:
        InputError: nothing to read, a CSV of another form, an id that is no file name, or one id
            for two photographs.
    """
    files: list[PhotographFile] = []
    told = ""
    for path in paths:
        if path.is_dir():
            taken = [file for file in sorted(path.iterdir()) if _is_image(file)]
            files += [PhotographFile(_id_of(file), file) for file in taken]
            if said := passed_over(path, taken, IMAGE_SUFFIXES, " and DICOM files"):
                told = f" {said}"
                note(said)
        elif not path.is_file():
            raise InputError(f"Expected an image, a folder or a CSV at {path}. Got: nothing.")
        elif path.suffix.lower() == ".csv":
            files += _listed(path)
        else:
            files.append(PhotographFile(_id_of(path), path))
    if not files:
        raise InputError(f"Expected images in {', '.join(map(str, paths))}. Got: none.{told}")
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
    """Read one photograph; a failure is a status and a reason, not an exception.

    What a file is, DICOM or an image of any kind that Pillow knows, its content says.
    """
    kind = "DICOM file" if file.path.suffix.lower() in DICOM_SUFFIXES else "image"
    try:
        if not file.path.is_file():
            raise InputError("Expected a file. Got: nothing at its path.")
        if _holds_dicom(file.path):
            kind = "DICOM file"
            found = photograph_of(file.path, file.frame)
            return LoadedPhotograph(
                file.id,
                "ok",
                pixels=on_black(found.pixels),
                spacing_mm=found.spacing_mm,
                laterality=found.laterality,
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
        pixels = read_photograph(file.path).permute(1, 2, 0).numpy()
        return LoadedPhotograph(file.id, "ok", pixels=pixels)
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
    except UnidentifiedImageError:
        reason = f"Expected a readable {kind}. Got: a damaged or unknown one."
    except Exception as error:  # a decoder may raise anything on damaged bytes
        # Only our own messages are passed on: a library's may quote the path or a tag.
        ours = isinstance(error, InputError) and str(file.path) not in str(error)
        reason = f"Expected a readable {kind}. Got: a damaged or unknown one."
        reason = str(error) if ours else reason
    return LoadedPhotograph(file.id, "unreadable", reason)


def _is_image(path: Path) -> bool:
    if path.name.startswith(".") or not path.is_file():
        return False
    try:
        return path.suffix.lower() in (*IMAGE_SUFFIXES, *DICOM_SUFFIXES) or _holds_dicom(path)
    except OSError:  # it may be one: `read` says what is wrong with it
        return True


def _id_of(path: Path) -> str:
    """Return the name without a known suffix; a DICOM file's is often a UID, which has dots."""
    known = path.suffix.lower() in (*IMAGE_SUFFIXES, *DICOM_SUFFIXES)
    return path.stem if known else path.name


def _holds_dicom(path: Path) -> bool:
    with path.open("rb") as file:
        return is_dicom(file.read(132))


def _frames(file: PhotographFile) -> list[PhotographFile]:
    try:
        if not file.path.is_file() or not _holds_dicom(file.path):
            return [file]
        count = frames_of(file.path)
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
            rows = [(table.line_num, row["id"], row["path"]) for row in table] if named else []
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
    for line, id_, file_name in rows:
        # the id is not quoted, since it may name a patient
        if not may_name_a_file(id_ or ""):
            raise InputError(
                f"Expected ids in {path} that can be file names. Got: another in line {line}. "
                "Use letters, digits, - and _."
            )
        if not file_name:
            raise InputError(f"Expected a path in each line of {path}. Got: none in line {line}.")
        sources.append(PhotographFile(id_.strip(), path.parent / file_name))
    return sources


def _hashed(name: str, key: bytes) -> str:
    return hmac.new(key, os.fsencode(name), hashlib.sha256).hexdigest()[:16]


def _printable(name: str) -> str:
    """Write %XX for control characters, and for bytes outside the file system's encoding."""
    return "".join(c if c.isprintable() else quote(os.fsencode(c)) for c in name)
