"""`manifest:` files: a CSV or a MONAI datalist that names photographs, masks and splits."""

import json
from collections.abc import Sequence
from pathlib import Path

from fundus_uda.config.data_uri import same_split
from fundus_uda.data.listed import read_listed
from fundus_uda.data.samples import Found, Sample, may_name_a_file
from fundus_uda.errors import InputError
from fundus_uda.paths import is_file

SPLITS = ("train", "validation", "test")


def read_manifest(path: Path, split: str, _: str) -> Sequence[Found]:
    """Read the samples of one split, and the faults of its rows.

    Paths are relative to the file. For a CSV see `listed.read_listed`. A datalist has lists of
    {"image": ..., "label": ...} under the names of splits: train or training, val or validation,
    test or testing. A photograph is named by its `id` or, without one, by its file.

    Raises:
        InputError: the file is of neither kind, or has other columns.
    """
    try:
        rows = _rows_of_datalist(path) if path.suffix.lower() == ".json" else _rows_of_csv(path)
    except InputError:
        raise
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise InputError(
            f"Expected {path} to be a CSV with a column `image` (and `mask`, `split`), or a MONAI "
            f"datalist in JSON. Got: {type(error).__name__}: {error}."
        ) from None
    found: list[Found] = []
    for row in rows:
        named = same_split(row["split"] or "train", SPLITS)
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
        elif named == split and not is_file(image):
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
        if same_split(key, SPLITS)  # a datalist may hold more than its splits
        for entry in entries
    ]


def _rows_of_csv(path: Path) -> list[dict[str, str]]:
    table = read_listed(path, mend=True)
    if lacking := table.loc[table["image"] == "", "line"].tolist():
        raise InputError(
            f"Expected an image in each line of {path}. Got: none in line {lacking[0]}. Add it, "
            f"or remove the line."
        )
    columns = ("image", "mask", "split", "id")
    return [{name: str(row[name]) for name in columns} for row in table.to_dict("records")]
