"""Output that every command shares: folders that must be empty, progress on the terminal."""

import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from fundus_uda.errors import InputError


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


def passed_over(
    folder: Path, taken: Iterable[Path], suffixes: Sequence[str], more: str = ""
) -> str:
    """Say how many files directly in a folder were not taken; "" for none.

    No name is said, since it may be a patient's. Hidden files do not count.

    Args:
        folder: folder that a user gave.
        taken: files of the folder that are read.
        suffixes: suffixes of the files that are read.
        more: what else is read, in words.
    """
    files = {path for path in folder.iterdir() if path.is_file() and not path.name.startswith(".")}
    count = len(files.difference(taken))
    number = "1 file" if count == 1 else f"{count} files"
    return f"Passed over {number}; {', '.join(suffixes)}{more} are read." if count else ""


def note(text: str) -> None:
    """Print a line for the user to stderr, where it does not mix with results."""
    print(text, file=sys.stderr)
