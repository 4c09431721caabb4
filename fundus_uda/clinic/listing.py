"""The photographs of files, folders, CSV files and datasets, by ids that may be hashed."""

import hashlib
import hmac
import os
import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal
from urllib.parse import quote

from fundus_uda.clinic.decoding import frames_of
from fundus_uda.clinic.dicom_pixels import MAX_FRAMES, is_dicom
from fundus_uda.data.datasets import is_data_uri, load_samples
from fundus_uda.data.listed import read_listed
from fundus_uda.data.samples import (
    IMAGE_SUFFIXES,
    Sample,
    first_duplicates,
    listed_folders,
    may_name_a_file,
)
from fundus_uda.errors import InputError
from fundus_uda.files import is_formula
from fundus_uda.masks.measurements import EYES, Laterality, parse_laterality
from fundus_uda.output import note, note_passed_over

DICOM_SUFFIXES = (".dcm", ".dicom")
EYE_IN_NAME = re.compile(
    r"(?<![^\W_])(OD|OS|od|os|RE|LE|(?<=[-_])[RL])(?![^\W_])"  # a letter or digit on no side
)
Ids = Literal["name", "path"]
"""Origin of the ids of photographs."""


@dataclass(frozen=True)
class PhotographFile:
    """Place of one photograph: a file, and a frame of it."""

    id: str
    """Id that is printable and can be a file name."""
    path: Path
    frame: int = 0
    """Index of the frame, from 0, in a DICOM file with several."""
    stereo: bool = False
    """Whether the file may be a stereo pair, whose left half is the photograph."""
    laterality: Laterality | None = None
    """Eye, as a CSV states it, or the file's name; None if neither does."""


def list_photographs(
    paths: list[Path], key: bytes | None = None, recursive: bool = False, ids: Ids = "name"
) -> list[PhotographFile]:
    """List the photographs of image files, DICOM files, folders, CSV files and datasets.

    A folder stands for the files in it that are not hidden: those with an image suffix, `.dcm` or
    `.dicom`, and DICOM files of any other name, such as a UID. A line on the terminal names the
    files that are passed over. A file that is given by its name may have any suffix. A CSV is read
    by `data.listed.read_listed`, with paths relative to the CSV; missing files fail when they are
    read. A data URI `KIND:PATH[#SPLIT]` stands for the photographs of a dataset. Without a CSV, the
    id is the file name without a known suffix, with %XX for characters that cannot be printed. Each
    frame of a DICOM file with several is a photograph, `<id>-frame<n>` from 1.

    Where no CSV states the eye, in a column `laterality` of words in `measurements.EYES` or blanks,
    the file name may: as OD or OS, RE or LE, or as R or L behind - or _, each as a whole word
    between characters that are neither letters nor digits.

    Args:
        paths: image files, DICOM files, folders, CSV files and data URIs; the list keeps their
            order.
        key: if given, each id is replaced by the first 16 hex digits of its HMAC-SHA256 with this
            key. The names of a data URI are not hashed.
        recursive: whether the files in all folders below count, too.
        ids: "name" for ids from file names; "path" to put the folders between the common folder of
            all paths and the file before them, as in `visit1_left`.

    Raises:
        InputError: nothing to read, a CSV of another form, an id that is no file name, another word
            for an eye, one id for two photographs, or see `samples_of_dataset`.
    """
    files: list[PhotographFile] = []
    passed_over: list[Path] = []
    for path in paths:
        if path.is_dir():
            inside = sorted(path.rglob("*") if recursive else path.iterdir())
            for file in inside:
                if _is_image(file):
                    files.append(_named(file))
                else:
                    passed_over.append(file)
        elif path.is_file() and path.suffix.lower() == ".csv":
            files += _listed(path)
        elif path.is_file():
            files.append(_named(path))
        elif is_data_uri(str(path)):
            files += [
                PhotographFile(sample.id, sample.image, stereo=sample.stereo)
                for sample in samples_of_dataset(str(path), key)
            ]
        else:
            raise InputError(f"Expected an image, a folder or a CSV at {path}. Got: nothing.")
    if ids == "path":
        files = _named_by_path(files, paths)
    note_passed_over(passed_over, named=key is None)
    _note_not_looked_into([] if recursive else passed_over)
    if not files:
        below = [listed_folders(path) for path in paths if path.is_dir()]
        hint = f" Look in the folders below{below[0]} with --recursive." if any(below) else ""
        raise InputError(f"Expected images in {', '.join(map(str, paths))}. Got: none.{hint}")
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
            f"Got: {which}. Take ids from the paths with --ids path, rename one, or give a CSV "
            f"with the columns id and path."
        )
    return sources


def samples_of_dataset(uri: str, key: bytes | None, annotation: str | None = None) -> list[Sample]:
    """Load the samples of a data URI, whose names are kept: its masks and scores go by them.

    Raises:
        InputError: a key to hash them with, or see `load_samples`.
    """
    if key is not None:
        raise InputError(
            "Expected --key-file with photographs alone. Got: a dataset, whose names are kept. "
            "Give the folder of its photographs, or leave the key out."
        )
    return load_samples(uri, annotation)


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


def _note_not_looked_into(files: list[Path]) -> None:
    """Print a line about the folders that hold photographs; their names may name a patient."""
    folders = [f for f in files if f.is_dir() and not f.name.startswith(".")]
    count = sum(any(_is_image(file) for file in folder.iterdir()) for folder in folders)
    if count:
        where = "a folder that holds" if count == 1 else f"{count} folders that hold"
        note(f"Not looked into: {where} photographs. Add --recursive to take these, too.")


def _frames(file: PhotographFile) -> list[PhotographFile]:
    try:
        if not file.path.is_file() or not is_dicom(file.path):
            return [file]
        count = frames_of(file.path)
    except Exception:  # a file may be damaged in any way; `read` says what is wrong with it
        return [file]
    if not 1 < count <= MAX_FRAMES:
        return [file]
    return [replace(file, id=f"{file.id}-frame{n + 1}", frame=n) for n in range(count)]


def _listed(path: Path) -> list[PhotographFile]:
    sources = []
    for row in read_listed(path).to_dict("records"):
        if not row["image"]:
            line = row["line"]
            raise InputError(f"Expected a path in each line of {path}. Got: none in line {line}.")
        id_ = row["id"] or _id_of(Path(row["image"]))
        # the id is not quoted, since it may name a patient
        if not may_name_a_file(id_):
            raise InputError(
                f"Expected ids in {path} that can be file names. Got: another in line "
                f"{row['line']}. Use letters, digits, - and _."
            )
        eye = row["laterality"].strip()
        if eye and eye.lower() not in EYES:
            raise InputError(
                f"Expected the laterality OD, OS, R, L, right, left or none in each line of {path}."
                f" Got: another in line {row['line']}."
            )
        place = path.parent / row["image"]
        stated = parse_laterality(eye) if eye else _laterality_in(_id_of(place))
        sources.append(PhotographFile(id_.strip(), place, laterality=stated))
    return sources


def _named(path: Path) -> PhotographFile:
    id_ = _id_of(path)
    return PhotographFile(id_, path, laterality=_laterality_in(id_))


def _named_by_path(files: list[PhotographFile], paths: list[Path]) -> list[PhotographFile]:
    """Put the folders below the common one of all paths before each id."""
    folders = [path if path.is_dir() else path.parent for path in paths]
    common = os.path.commonpath([folder.absolute() for folder in folders])
    named = []
    for file in files:
        between = Path(os.path.relpath(file.path.absolute(), common)).parts[:-1]
        named.append(replace(file, id="_".join([*(p for p in between if p != ".."), file.id])))
    return named


def _is_image(path: Path) -> bool:
    if path.name.startswith("."):
        return False
    if not path.is_file():  # a broken link is a row, with the reason
        return path.is_symlink() and path.suffix.lower() in (*IMAGE_SUFFIXES, *DICOM_SUFFIXES)
    try:
        return path.suffix.lower() in (*IMAGE_SUFFIXES, *DICOM_SUFFIXES) or is_dicom(path)
    except OSError:  # it may be one: `read` says what is wrong with it
        return True


def _id_of(path: Path) -> str:
    """Return the name without a known suffix; a DICOM file's is often a UID, which has dots."""
    known = path.suffix.lower() in (*IMAGE_SUFFIXES, *DICOM_SUFFIXES)
    return path.stem if known else path.name


def _laterality_in(name: str) -> Laterality | None:
    """Return the eye that a file name states; None if it states none or both."""
    words = {parse_laterality(word) for word in EYE_IN_NAME.findall(name)}
    return words.pop() if len(words) == 1 else None


def _hashed(name: str, key: bytes) -> str:
    return hmac.new(key, os.fsencode(name), hashlib.sha256).hexdigest()[:16]


def _printable(name: str) -> str:
    """Write %XX for control characters, and for bytes outside the file system's encoding.

    So is what begins a formula, which a spreadsheet that opens a table would run.
    """
    if is_formula(name):
        name = f"%{ord(name[0]):02X}{name[1:]}"
    return "".join(c if c.isprintable() else quote(os.fsencode(c)) for c in name)
