"""Folders in the making: one writer at a time, a mark until all is there, rows that stay."""

import json
import os
import platform
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from fundus_uda.errors import InputError
from fundus_uda.output import needing_room, require_empty, temporary_of, write_whole

UNFINISHED = ".unfinished"
"""Name of the mark in a dataset folder that is not whole."""
LOCK, HOLDER = Path(".lock"), Path(".holder")
"""Files of `locked`, which a crash may leave."""
LEFT_BY_LOCK = {str(LOCK), str(HOLDER), str(temporary_of(HOLDER))}


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Keep other processes from writing a folder, which is made if needed; a crash releases it.

    Raises:
        InputError: another process writes it; says which, since when.
    """
    folder.mkdir(parents=True, exist_ok=True)
    lock, holder = FileLock(folder / LOCK, timeout=0), folder / HOLDER
    try:
        lock.acquire()
    except Timeout:
        told = holder.read_text(encoding="utf-8") if holder.is_file() else "another process"
        raise InputError(
            f"Expected that no other process writes {folder}. Got: {told}. Wait for it, or stop it."
        ) from None
    try:
        since = datetime.now(UTC).isoformat(timespec="seconds")
        write_whole(holder, f"process {os.getpid()} on {platform.node()}, since {since}")
        yield
    finally:
        holder.unlink(missing_ok=True)
        (folder / LOCK).unlink(missing_ok=True)
        lock.release()
        if not any(folder.iterdir()):  # nothing was begun
            folder.rmdir()


class Unfinished:
    """Rows of a table in the making, in a folder's `unfinished.jsonl`: a stop loses none of them.

    Args:
        folder: folder that gets the table, and the files that its rows tell of.
    """

    def __init__(self, folder: Path) -> None:
        self.folder, self.file = folder, folder / "unfinished.jsonl"

    def require_room(self) -> None:
        """Raise an InputError unless the folder is new or empty, or holds what was stopped."""
        killed_at_once = {*LEFT_BY_LOCK, temporary_of(self.file).name}
        names = {path.name for path in self.folder.iterdir()} if self.folder.is_dir() else {""}
        if not self.file.is_file() and not names <= killed_at_once:
            require_empty(self.folder)

    @contextmanager
    def begun(self, of: str) -> Iterator[list[dict[str, Any]]]:
        """Keep other processes out and yield the rows that are done; at the end, all is there.

        Args:
            of: fingerprint of the whole work.

        Raises:
            InputError: other work was stopped here, or another process writes the folder.
        """
        with locked(self.folder):
            yield self._rows(of)
            self.file.unlink()

    def _rows(self, of: str) -> list[dict[str, Any]]:
        """Begin, or read what was stopped."""
        if not self.file.is_file():
            write_whole(self.file, json.dumps({"of": of}) + "\n")
        lines = self.file.read_text(encoding="utf-8").split("\n")[:-1]  # the last may be cut off
        header, *rows = map(json.loads, lines)
        if header != {"of": of}:
            raise InputError(
                f"Expected the same photographs, model and options in {self.folder}, to go on with "
                f"what was stopped there. Got: others. Give those, or choose another --out."
            )
        write_whole(self.file, "".join(f"{line}\n" for line in lines))
        return rows

    def add(self, row: dict[str, Any]) -> None:
        """Keep a row, once its files are written."""
        text = json.dumps(row, default=lambda value: value.item())  # numpy's numbers
        with needing_room(self.file), self.file.open("a", encoding="utf-8", newline="\n") as file:
            file.write(f"{text}\n")


@contextmanager
def unfinished(folder: Path) -> Iterator[None]:
    """Mark a dataset folder as unfinished while it is written; the mark goes when all is there."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / UNFINISHED).touch()
    yield
    (folder / UNFINISHED).unlink()


def is_unfinished(folder: Path) -> bool:
    """Check whether a dataset folder is one whose writing was cut off."""
    return (folder / UNFINISHED).is_file() or Unfinished(folder).file.is_file()


def require_whole(folder: Path) -> None:
    """Check that a dataset folder is not one whose writing was cut off.

    Raises:
        InputError: a part of the dataset is missing.
    """
    if is_unfinished(folder):
        raise InputError(
            f"Expected a whole dataset at {folder}. Got: one whose writing was cut off. Go on with "
            f"the command that wrote it, and with --resume, if it has that."
        )
