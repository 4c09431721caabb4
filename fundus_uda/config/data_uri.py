"""Data URIs: `KIND:PATH` or `KIND:PATH#SPLIT`."""

from collections.abc import Mapping
from pathlib import Path

from fundus_uda.errors import InputError


def parse_data_uri(uri: str, splits: Mapping[str, tuple[str, ...]]) -> tuple[str, Path, str]:
    """Split a data URI into (kind, path, split or "").

    Args:
        uri: data URI; the path may hold colons, as on Windows, and "#" in folders.
        splits: known kinds, and the splits of each.

    Raises:
        InputError: another form, or an unknown kind or split.
    """
    kind, colon, rest = uri.partition(":")
    if not colon or not rest or kind not in splits:
        raise InputError(
            f"Expected KIND:PATH or KIND:PATH#SPLIT with KIND one of {', '.join(splits)}. "
            f"Got: {uri!r}."
        )
    path, _, split = rest.rpartition("#")
    if not path or "/" in split or "\\" in split:  # the "#" is part of a folder's name
        path, split = rest, ""
    if split and split not in splits[kind]:
        raise InputError(
            f"Expected the split of {kind} to be one of {', '.join(splits[kind])}. "
            f"Got: {split!r} in {uri!r}. A folder with '#' in its name needs a slash behind it."
        )
    return kind, Path(path).expanduser(), split
