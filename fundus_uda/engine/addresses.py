"""Data addresses: `KIND:PATH` or `KIND:PATH#SPLIT`."""

from collections.abc import Mapping
from pathlib import Path

from fundus_uda.engine.errors import InputError


def parse_address(address: str, splits: Mapping[str, tuple[str, ...]]) -> tuple[str, Path, str]:
    """An address to (kind, path, split or "").

    Args:
        address: as above; the path may hold colons, as on Windows, and "#" in folders.
        splits: the known kinds, and the splits of each.

    Raises:
        InputError: not of that form, or an unknown kind or split.
    """
    kind, colon, rest = address.partition(":")
    if not colon or not rest or kind not in splits:
        raise InputError(
            f"Expected KIND:PATH or KIND:PATH#SPLIT with KIND one of {', '.join(splits)}. "
            f"Got: {address!r}."
        )
    path, _, split = rest.rpartition("#")
    if not path or "/" in split or "\\" in split:  # the "#" is part of a folder's name
        path, split = rest, ""
    if split and split not in splits[kind]:
        raise InputError(
            f"Expected the split of {kind} to be one of {', '.join(splits[kind])}. "
            f"Got: {split!r} in {address!r}. A folder with '#' in its name needs a slash behind it."
        )
    return kind, Path(path).expanduser(), split
