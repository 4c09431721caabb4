"""Folders in the making: one writer at a time, a mark until all is there, rows that stay.

Of what a command wrote to its end there is a list, by which `--overwrite` replaces that and nothing
else.
"""

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
from fundus_uda.files import needing_room, read_json, require_empty, temporary_of, write_whole

UNFINISHED = ".unfinished"
"""Name of the mark in a dataset folder that is not whole."""
ROWS = "unfinished.jsonl"
"""Name of the file of rows in the making."""
LOCK, HOLDER = Path(".lock"), Path(".holder")
"""Files of `locked`, which a crash may leave."""
LEFT_BY_LOCK = {str(LOCK), str(HOLDER), str(temporary_of(HOLDER))}
WRITTEN = Path(".written")
"""Name of the list of the files that a command wrote into a folder, as it left them."""


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
        by: command that writes, for example "predict".
        overwrite: whether what the same command wrote there before is replaced.
    """

    def __init__(self, folder: Path, by: str, overwrite: bool = False) -> None:
        self.folder, self.file = folder, folder / ROWS
        self.by, self.overwrite = by, overwrite

    def require_room(self) -> None:
        """Raise an InputError unless the folder is new or empty, or holds what was stopped.

        It may also hold what is to be replaced (see `require_replaceable`).
        """
        killed_at_once = {*LEFT_BY_LOCK, temporary_of(self.file).name}
        names = {path.name for path in self.folder.iterdir()} if self.folder.is_dir() else {""}
        if not self.file.is_file() and not names <= killed_at_once:
            require_replaceable(self.folder, self.by, self.overwrite)

    @contextmanager
    def begun(self, of: str) -> Iterator[list[dict[str, Any]]]:
        """Keep other processes out and yield the rows that are done; at the end, all is there.

        Args:
            of: fingerprint of the whole work.

        Raises:
            InputError: other work was stopped here, or another process writes the folder.
        """
        with locked(self.folder):
            if not self.file.is_file():
                _remove_written(self.folder)
            yield self._rows(of)
            _list_written(self.folder, self.by)
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


def require_replaceable(folder: Path, by: str, overwrite: bool) -> None:
    """Raise an InputError unless a folder is new or empty, or its files may be replaced.

    A command keeps a list of the files that it wrote, with their sizes and times. What somebody
    added, or corrected since, is not replaced: it may be hours of work.

    Args:
        folder: folder to write to.
        by: command that writes, for example "predict".
        overwrite: whether what the same command wrote there before may be replaced.
    """
    file = folder / WRITTEN
    if not folder.is_dir() or not any(folder.iterdir()) or not (overwrite or file.is_file()):
        require_empty(folder)
        return
    written: dict[str, Any] = read_json(file) if file.is_file() else {}
    if written.get("by") != by:
        wrote = f"`{written['by']}` wrote" if written.get("by") else "no command says that it wrote"
        raise InputError(
            f"Expected a new or empty output folder, or one that `{by}` wrote to its end. Got: "
            f"{folder}, which {wrote}. Choose another --out, or remove it yourself."
        )
    if not overwrite:
        raise InputError(
            f"Expected a new or empty output folder. Got: {folder}, which `{by}` wrote before. "
            f"Choose another --out, or add --overwrite to replace what it wrote."
        )
    for path in _files(folder):
        if written.get("files", {}).get(path.relative_to(folder).as_posix()) != _stamp(path):
            raise InputError(
                f"Expected a folder with nothing but what `{by}` wrote, as it left it, to "
                f"--overwrite. Got: {path}, which was added or changed since. Choose another "
                f"--out, or move that file."
            )


@contextmanager
def rewritten(folder: Path, by: str) -> Iterator[None]:
    """Write files into a folder that `require_replaceable` let through, in place of those there.

    Args:
        folder: folder to write to, created if needed; unfinished until all is there.
        by: command that writes.
    """
    _remove_written(folder)
    with unfinished(folder):
        yield
        _list_written(folder, by)


def note_rewritten(*files: Path) -> None:
    """Note in the list of their folder that a command rewrote files that are in it."""
    for file in files:
        listed = file.parent / WRITTEN
        written = read_json(listed) if listed.is_file() else {}
        if file.name in written.get("files", {}):
            written["files"][file.name] = _stamp(file)
            write_whole(listed, json.dumps(written))


def _list_written(folder: Path, by: str) -> None:
    """List all files of a folder, which was new, as those that a command wrote."""
    files = {path.relative_to(folder).as_posix(): _stamp(path) for path in _files(folder)}
    write_whole(folder / WRITTEN, json.dumps({"by": by, "files": files}))


def _remove_written(folder: Path) -> None:
    """Remove the files on the list of a folder, the folders that are empty then, and the list."""
    file = folder / WRITTEN
    if not file.is_file():
        return
    listed = read_json(file).get("files", {})
    for path in _files(folder):
        if path.relative_to(folder).as_posix() in listed:
            path.unlink()
    for path in sorted(folder.rglob("*"), reverse=True):
        if path.is_dir() and not any(path.iterdir()):
            path.rmdir()
    file.unlink()


def _files(folder: Path) -> list[Path]:
    """List the files of a folder and of those below, but for the marks of this module."""
    marks = {folder / name for name in (str(WRITTEN), UNFINISHED, ROWS, *LEFT_BY_LOCK)}
    return [path for path in sorted(folder.rglob("*"))
            if path not in marks and (path.is_symlink() or not path.is_dir())]  # fmt: skip


def _stamp(path: Path) -> list[int]:
    """Return by what a file that was changed is told: its size in bytes, and its time."""
    stat = path.lstat()
    return [stat.st_size, stat.st_mtime_ns]


def is_unfinished(folder: Path) -> bool:
    """Check whether a folder is one whose writing was cut off."""
    return (folder / UNFINISHED).is_file() or (folder / ROWS).is_file()


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
