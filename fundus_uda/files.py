"""Files that every command writes: new, and whole or not at all, with the same bytes anywhere."""

import errno
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fundus_uda.errors import InputError, WriteError

if TYPE_CHECKING:
    from PIL.Image import Image


def require_empty(folder: Path) -> None:
    """Raise an InputError unless the folder is new or empty, so that nothing is overwritten."""
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise InputError(
            f"Expected a new or empty output folder. Got: {folder}, which holds something "
            f"already. Choose another --out, or continue what was stopped with --resume, where the "
            f"command has it."
        )


def require_new(file: Path, overwrite: bool) -> None:
    """Raise an InputError if a file exists, unless it is to be replaced."""
    if file.is_dir() or (file.exists() and not overwrite):
        hint = "Choose another --out." if file.is_dir() else "Choose another, or add --overwrite."
        raise InputError(f"Expected a new output file. Got: {file}, which exists. {hint}")


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Write a file whole or not at all: yield a temporary path, which is renamed at the end.

    Raises:
        WriteError: there is no room for it.
    """
    temporary = temporary_of(path)
    with needing_room(path):
        try:
            yield temporary
            temporary.replace(path)
        except Exception:
            temporary.unlink(missing_ok=True)  # so that a full disk has room for what is whole
            raise


def link_or_copy(file: Path, to: Path) -> None:
    """Give a file a second name, or a copy where there are no links, such as on exFAT."""
    try:
        os.link(file, to)
    except OSError:  # also on another file system
        shutil.copyfile(file, to)


def temporary_of(path: Path) -> Path:
    """Return where a file is written before it takes its place; its suffix is the same."""
    return path.with_name(f".tmp.{path.name}")


def write_whole(path: Path, text: str) -> None:
    """Write a text file as `replacing` does."""
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8", newline="\n")


def write_picture(path: Path, picture: "Image", **options: Any) -> None:
    """Write an image of Pillow as `replacing` does; `options` are those of its kind of file."""
    with replacing(path) as temporary:
        picture.save(temporary, **options)


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON object that a command of this program wrote.

    Raises:
        InputError: the file holds something else, or a part of it.
    """
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        found = error
    if not isinstance(found, dict):
        raise InputError(
            f"Expected a JSON object in {path}. Got: {type(found).__name__}, of a file that was "
            f"changed or cut off. Write it anew with the command that wrote it."
        )
    return found


def write_table(path: Path, table: Any) -> None:
    """Write a data frame of pandas as CSV, as `write_whole` does, with the same bytes anywhere.

    A text that a spreadsheet would run as a formula is written behind an apostrophe.
    """
    harmless = table.copy()
    for column in table.select_dtypes(("object", "string")):
        runs = table[column].map(is_formula)
        if runs.any():
            harmless[column] = table[column].mask(runs, "'" + table[column].astype(str))
    write_whole(path, harmless.to_csv(index=False, lineterminator="\n"))


def is_formula(cell: Any) -> bool:
    """Check whether a spreadsheet that opens a CSV would run a cell as a formula."""
    return isinstance(cell, str) and cell.startswith(("=", "+", "-", "@", "\t", "\r"))


@contextmanager
def needing_room(path: Path) -> Iterator[None]:
    """Turn the error of a full disk, where `path` is written inside, into a `WriteError`."""
    try:
        yield
    except OSError as error:
        if not is_full(error):
            raise
        raise WriteError(
            f"Expected room to write {path}. Got: {error.strerror}. Make room, then go on: what "
            f"was written before is whole."
        ) from error


def is_full(error: OSError) -> bool:
    """Check whether an error is that of a full disk, a quota, or a limit of the size of files."""
    return error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
