"""Paths that users write."""

import contextlib
import os
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


CACHE = "FUNDUS_UDA_CACHE"
"""Environment variable that names the folder of what is kept between runs."""


def cache_folder() -> Path:
    """Return the folder of what is kept between runs and can be made again; it need not be there.

    It is `$FUNDUS_UDA_CACHE`, `$XDG_CACHE_HOME/fundus-uda` or `~/.cache/fundus-uda`, by the first
    variable that is set.

    Raises:
        InputError: see `user_path`.
    """
    if named := os.environ.get(CACHE):
        return user_path(named)
    caches = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(caches) / "fundus-uda"


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
