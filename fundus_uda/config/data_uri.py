"""Data URIs: `KIND:PATH` or `KIND:PATH#SPLIT`."""

from collections.abc import Iterable, Mapping
from pathlib import Path

from fundus_uda.errors import InputError
from fundus_uda.paths import user_path

ALSO_CALLED = (
    ("train", "training"),
    ("validation", "val", "valid"),
    ("test", "testing"),
)
"""Names of the same split."""


def same_split(name: str, known: Iterable[str]) -> str | None:
    """Return the known split that a name means, in capitals or not; None if there is none."""
    wanted = name.strip().lower()
    names = next((names for names in ALSO_CALLED if wanted in names), (wanted,))
    return next((split for split in known if split in names), None)


def parse_data_uri(uri: str, splits: Mapping[str, tuple[str, ...]]) -> tuple[str, Path, str]:
    """Split a data URI into (kind, path, split or "").

    Where there is a kind `folder` or `manifest`, a bare path is taken as `folder:PATH` if it is a
    folder, and as `manifest:PATH` if it is a CSV or a JSON.

    Args:
        uri: data URI; the path may hold colons, as on Windows, and "#" in folders.
        splits: known kinds, and the splits of each; `ALSO_CALLED` has other names of splits.

    Raises:
        InputError: another form, or an unknown kind or split.
    """
    kind, colon, rest = uri.partition(":")
    if (kind not in splits or not colon) and (bare := _kind_of(uri)) in splits:
        kind, colon, rest = bare, ":", uri
    if not colon or not rest or kind not in splits:
        hint = ""
        if user_path(uri).exists():
            hint = f" Name the kind of what is there, for example {next(iter(splits))}:{uri}."
        raise InputError(
            f"Expected KIND:PATH or KIND:PATH#SPLIT with KIND one of {', '.join(splits)}. "
            f"Got: {uri!r}.{hint}"
        )
    path, _, split = rest.rpartition("#")
    if not path or "/" in split or "\\" in split:  # the "#" is part of a folder's name
        path, split = rest, ""
    split = same_split(split, splits[kind]) or split
    if split and split not in splits[kind]:
        raise InputError(
            f"Expected the split of {kind} to be one of {', '.join(splits[kind])}. "
            f"Got: {split!r} in {uri!r}. A folder with '#' in its name needs a slash behind it."
        )
    return kind, user_path(path), split


def has_kind(text: str) -> bool:
    """Check whether a text has the form KIND:PATH, of whatever kind; a drive such as C: is none."""
    kind, colon, path = text.partition(":")
    return len(kind) > 1 and bool(colon and path) and kind.replace("-", "").isalnum()


def _kind_of(path: str) -> str:
    """Return the kind of data URI that a bare path may be; "" if there is nothing."""
    found = user_path(path.partition("#")[0])
    found = found if found.exists() else user_path(path)
    if found.is_dir():
        return "folder"
    return "manifest" if found.is_file() and found.suffix.lower() in (".csv", ".json") else ""
