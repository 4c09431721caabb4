"""Paths that users write."""

import contextlib
from pathlib import Path

from fundus_uda.errors import InputError


def user_path(text: str | Path) -> Path:
    """Return the path that a user wrote, with the home folder for ~; nothing need be there.

    Raises:
        InputError: no path: a home that nobody has, a NUL, or a name of more than 255 bytes.
    """
    try:
        path = Path(text).expanduser()
        with contextlib.suppress(FileNotFoundError, NotADirectoryError, PermissionError):
            path.stat()
    except (OSError, ValueError, RuntimeError) as error:
        got = getattr(error, "strerror", None) or str(error)
        raise InputError(f"Expected a path. Got: {str(text)[:300]!r} ({got}).") from None
    return path


def require_no_stream(path: Path) -> None:
    """Raise an OSError for a pipe, a socket or a device, which may be read without end."""
    if path.exists() and not path.is_file() and not path.is_dir():
        raise OSError("a pipe or a device in place of a file")


def is_file(path: Path) -> bool:
    """Check whether there is a file, also where there can be none by that name."""
    try:
        return path.is_file()
    except OSError:  # a name of more than 255 bytes
        return False
