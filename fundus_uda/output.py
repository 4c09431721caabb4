"""Output that every command shares: folders that must be empty, progress on the terminal."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from fundus_uda.errors import InputError

UNFINISHED = ".unfinished"
"""Name of the mark in a dataset folder that is not whole."""


def require_empty(folder: Path) -> None:
    """Raise an InputError unless the folder is new or empty, so that nothing is overwritten."""
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise InputError(
            f"Expected a new or empty output folder. Got: {folder}, which holds something "
            f"already. Choose another --out, or continue what was stopped with --resume, where the "
            f"command has it."
        )


def progress_bar() -> Progress:
    """Make a progress bar for the terminal, with step count, losses and time left."""
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(bar_width=20),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[losses]}"),
    )


def write_whole(path: Path, text: str) -> None:
    """Write a text file whole or not at all: to a temporary file, which is then renamed."""
    temporary = path.with_name(f".{path.name}.tmp")
    temporary.write_text(text, encoding="utf-8")
    temporary.replace(path)


def note(text: str) -> None:
    """Print a line for the user to stderr, where it does not mix with results."""
    print(text, file=sys.stderr)


@contextmanager
def unfinished(folder: Path) -> Iterator[None]:
    """Mark a dataset folder as unfinished while it is written; the mark goes when all is there."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / UNFINISHED).touch()
    yield
    (folder / UNFINISHED).unlink()


def require_whole(folder: Path) -> None:
    """Check that a dataset folder is not one whose writing was cut off.

    Raises:
        InputError: a part of the dataset is missing.
    """
    if (folder / UNFINISHED).is_file():
        raise InputError(
            f"Expected a whole dataset at {folder}. Got: one whose writing was cut off. Write it "
            f"anew, or go on with --resume, if the command has it."
        )
