"""`manifest:` files: a CSV or a MONAI datalist that names photographs, masks and splits."""

import csv
import difflib
import json
from collections.abc import Sequence
from pathlib import Path

from fundus_uda.data.samples import Found, Sample, may_name_a_file
from fundus_uda.errors import InputError

COLUMNS = ("image", "mask", "split", "id")
"""Columns of a CSV; only the first is required."""

SPLITS = ("train", "validation", "test")
_SPLIT_NAMES = {"train": "train", "training": "train", "test": "test", "testing": "test"}
_SPLIT_NAMES |= {"val": "validation", "valid": "validation", "validation": "validation"}

_ALSO_CALLED = {"label": "mask", "segmentation": "mask", "photograph": "image", "picture": "image"}


def read_manifest(path: Path, split: str, _: str) -> Sequence[Found]:
    """Read the samples of one split, and the faults of its rows.

    Paths are relative to the file. A datalist has lists of {"image": ..., "label": ...} under
    the names of splits: train or training, val or validation, test or testing. A photograph is
    named by its `id` or, without one, by its file.

    Raises:
        InputError: the file is of neither kind, or has other columns.
    """
    try:
        rows = _rows_of_datalist(path) if path.suffix.lower() == ".json" else _rows_of_csv(path)
    except InputError:
        raise
    except (OSError, ValueError, KeyError, TypeError, AttributeError, csv.Error) as error:
        raise InputError(
            f"Expected {path} to be a CSV with a column `image` (and `mask`, `split`), or a MONAI "
            f"datalist in JSON. Got: {type(error).__name__}: {error}."
        ) from None
    found: list[Found] = []
    for row in rows:
        named = _SPLIT_NAMES.get((row["split"] or "train").strip().lower())
        image = path.parent / row["image"]
        if named is None:
            found.append(
                f"Expected train, validation or test as the split of {row['image']} in {path}. "
                f"Got: a split {row['split']!r}. Name one of these."
            )
        elif named == split and row["id"] and not may_name_a_file(row["id"]):
            found.append(
                f"Expected an id that can be a file name for {row['image']} in {path}. Got: "
                f"{row['id']!r}. Use letters, digits, - and _."
            )
        elif named == split and not image.is_file():
            found.append(
                f"Expected the image {image}, which {path} lists. Got: no such file. Paths are "
                f"relative to the manifest."
            )
        elif named == split:
            masks = (path.parent / row["mask"],) if row["mask"] else ()
            found.append(Sample(row["id"].strip() or image.stem, image, masks, "labels"))
    return found


def _rows_of_datalist(path: Path) -> list[dict[str, str]]:
    return [
        {
            "image": str(entry["image"]),
            "mask": str(entry.get("label") or ""),
            "split": key,
            "id": str(entry.get("id") or ""),
        }
        for key, entries in json.loads(path.read_text(encoding="utf-8-sig")).items()
        if key.lower() in _SPLIT_NAMES  # a datalist may hold more than its splits
        for entry in entries
    ]


def _rows_of_csv(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8-sig") as file:
        reader = csv.DictReader(file)
        columns = list(reader.fieldnames or [])
        unknown = [column for column in columns if column not in COLUMNS]
        if unknown or COLUMNS[0] not in columns:
            raise InputError(
                f"Expected the columns image and, if there are any, mask, split and id in {path}, "
                f"separated by commas. Got: {', '.join(columns) or 'none'}. {_mend(columns)}"
            )
        return [{column: row.get(column) or "" for column in COLUMNS} for row in reader]


def _mend(columns: list[str]) -> str:
    if len(columns) == 1 and (";" in columns[0] or "\t" in columns[0]):
        return "Separate them by commas."
    free = [column for column in COLUMNS if column not in columns]
    hints = []
    for column in columns:
        name = column.strip().lower()
        near = difflib.get_close_matches(name, free, n=1, cutoff=0.5)
        meant = _ALSO_CALLED.get(name) or (near[0] if near else None)
        if column not in COLUMNS:
            hints.append(f"Rename {column!r} to {meant!r}." if meant else f"Remove {column!r}.")
    return " ".join(hints) or "Add a first line that names them."
