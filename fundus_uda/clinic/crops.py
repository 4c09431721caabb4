"""Crop whole photographs around the disc, as networks train on them."""

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import pandas as pd
from PIL import Image

from fundus_uda.clinic.listing import Ids, PhotographFile, list_photographs
from fundus_uda.clinic.locate import locate_disc
from fundus_uda.clinic.reading import read
from fundus_uda.data.field import is_grey
from fundus_uda.data.photograph_files import read_sample
from fundus_uda.data.samples import Sample
from fundus_uda.engine.fingerprint import fingerprint, fingerprint_file
from fundus_uda.errors import InputError, WriteError
from fundus_uda.files import is_full, write_picture, write_table
from fundus_uda.masks.classes import Photograph
from fundus_uda.masks.region import DiscRegion, region_of
from fundus_uda.output import detail, note, progress
from fundus_uda.unfinished import Unfinished, is_unfinished

Item = TypeVar("Item")
THREADS = min(12, max(4, os.cpu_count() or 4))
"""Number of threads, and so of photographs in memory at once."""
CROPS = "crops.csv"
"""Table of a folder of crops, written once all are there."""
NO_DISC = "Expected a photograph of the eye that shows the optic disc. Got: none found."
NO_COLOUR = (
    "Expected a photograph in colour, by which the disc is found in a crop. Got: one in grey. Give "
    "the colour photograph, or the whole field."
)
FAILED = "Expected a photograph that can be measured. Got: one that led to"
UNREADABLE = (
    "Expected a readable photograph, and a readable mask of its size. Got: others, which "
    "`fundus-uda inspect` tells."
)
TEXT = (
    "Expected a photograph without text in it. Got: one whose DICOM tags announce some. If there "
    "is none, set BurnedInAnnotation (0028,0301) to NO."
)


def write_crops(
    paths: list[Path],
    out: Path,
    key: bytes | None = None,
    recursive: bool = False,
    ids: Ids = "name",
    overwrite: bool = False,
) -> pd.DataFrame:
    """Crop photographs around the disc, without a model, into a `folder:` dataset.

    Writes `images/<id>.png` and the table `crops.csv`. Photographs that are crops around the disc
    already are copied whole.

    Args:
        paths: see `list_photographs`.
        out: new or empty folder, created if needed; or one in which the same was stopped, which
            goes on.
        key: key that hashes the ids (see `list_photographs`).
        recursive: see `list_photographs`.
        ids: see `list_photographs`.
        overwrite: whether `out` may hold earlier crops, which are replaced (see
            `unfinished.require_replaceable`).

    Returns:
        A row per photograph: image, status (ok, no_disc or unreadable), reason, and the columns of
        `region_columns`, blank without a disc. A photograph counts as unreadable if DICOM says
        that its pixels show text, which may name the patient.

    Raises:
        InputError: see `list_photographs`; or the folder is not empty.
    """
    unfinished = Unfinished(out, "crop", overwrite)
    unfinished.require_room()
    sources = list_photographs(paths, key, recursive, ids)

    def crop(source: PhotographFile) -> dict[str, Any]:
        photograph = read(source)
        row = {"image": source.id, "status": photograph.status, "reason": photograph.reason}
        if photograph.pixels is None:
            return row
        if photograph.burned_in_text:
            return row | {"status": "unreadable", "reason": TEXT}
        region = locate_disc(photograph.pixels)
        if region is None:
            return row | {"status": "no_disc", "reason": reason_without_disc(photograph.pixels)}
        shown = Image.fromarray(region.crop(photograph.pixels))
        write_picture(out / "images" / f"{source.id}.png", shown)
        return row | region_columns(region)

    with unfinished.begun(fingerprint([listed(source) for source in sources])) as rows:
        (out / "images").mkdir(exist_ok=True)
        add_rows(rows, sources, partial(row_or_reason, crop), unfinished, "crops")
        return _written(rows, out)


def write_labelled_crops(samples: list[Sample], out: Path, overwrite: bool = False) -> pd.DataFrame:
    """Crop photographs and masks around the disc of the masks, into a `folder:` dataset.

    Writes `images/<id>.png`, `masks/<id>.png` and the table `crops.csv`.

    Args:
        samples: samples with masks.
        out: see `write_crops`.
        overwrite: see `write_crops`.

    Returns:
        A table as from `write_crops`. A mask without a disc, or of another size than its
        photograph, gives a row without a crop.

    Raises:
        InputError: the folder is not empty.
    """
    unfinished = Unfinished(out, "crop", overwrite)
    unfinished.require_room()

    def crop(sample: Sample) -> dict[str, Any]:
        row: dict[str, Any] = {"image": sample.id, "status": "ok", "reason": ""}
        try:
            read = read_sample(sample)
        except InputError:  # its message holds the folders, which may name a patient
            return row | {"status": "unreadable", "reason": UNREADABLE}
        mask = read["label"][0].numpy()
        region = region_of(mask)
        if region is None:
            return row | {"status": "no_disc", "reason": "Expected a disc in its mask. Got: none."}
        photograph = read["image"].permute(1, 2, 0).numpy()
        for folder, whole in (("images", photograph), ("masks", mask)):
            write_picture(out / folder / f"{sample.id}.png", Image.fromarray(region.crop(whole)))
        return row | region_columns(region)

    with unfinished.begun(fingerprint_labelled(samples)) as rows:
        for folder in ("images", "masks"):
            (out / folder).mkdir(exist_ok=True)
        add_rows(rows, samples, crop, unfinished, "crops")
        return _written(rows, out)


def fingerprint_labelled(samples: list[Sample]) -> str:
    """Compute the fingerprint of samples: ids, and bytes of photographs and masks."""
    return fingerprint([[s.id, *map(fingerprint_file, (s.image, *s.masks))] for s in samples])


def is_whole(folder: Path) -> bool:
    """Check whether a folder holds all crops that `write_crops` was to write."""
    return (folder / CROPS).is_file() and not is_unfinished(folder)


def add_rows(
    rows: list[dict[str, Any]],
    items: Sequence[Item],
    row_of: Callable[[Item], dict[str, Any]],
    unfinished: Unfinished,
    title: str,
) -> None:
    """Add the rows of the items that have none yet, from a few threads, and keep each.

    Args:
        rows: rows of the first items, which a stopped command did.
        items: all items.
        row_of: function that writes the files of an item and returns its row.
        unfinished: rows in the making.
        title: what the items are, for the progress.
    """
    if rows:
        note(f"Going on: {len(rows)} of {len(items)} {title} are done.")
    left = items[len(rows) :]
    with ThreadPoolExecutor(THREADS) as pool:
        try:
            for row in progress(pool.map(row_of, left), title, len(left)):
                unfinished.add(row)
                rows.append(row)
                found = (row[name] for name in ("status", "reason", "flags") if row.get(name))
                detail(f"{row['image']}: {' '.join(found)}")
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


def listed(file: PhotographFile) -> tuple[str, str, int]:
    """Return by what a photograph is told from others when a stopped command goes on."""
    return file.id, fingerprint_file(file.path), file.frame


def _written(rows: list[dict[str, Any]], out: Path) -> pd.DataFrame:
    table = pd.DataFrame(rows, columns=["image", "status", "reason", *REGION])
    write_table(out / CROPS, table)
    return table


def reason_without_disc(photograph: Photograph) -> str:
    """Return the reason why no disc was found in a photograph (H, W, 3)."""
    return NO_COLOUR if is_grey(photograph) else NO_DISC


class OtherPhotographError(InputError):
    """An earlier result that is of another photograph, which is no fault of this one."""


def row_or_reason(
    row_of: Callable[[PhotographFile], dict[str, Any]], source: PhotographFile
) -> dict[str, Any]:
    """Return `row_of(source)`, or a row with the failure: one bad photograph stops no others.

    Raises:
        OtherPhotographError, WriteError: as `row_of` raises them.
    """
    try:
        return row_of(source)
    except Exception as error:  # a library's message may quote the path or a tag
        good = isinstance(error, OtherPhotographError | WriteError)
        if good or (isinstance(error, OSError) and is_full(error)):
            raise  # the photograph is good
        reason = f"{FAILED} {type(error).__name__}."
        return {"image": source.id, "status": "unreadable", "reason": reason}


REGION = ("region_top", "region_left", "region_height", "region_width", "region_is_crop")


def region_columns(region: DiscRegion) -> dict[str, int | bool]:
    """Return the square around the disc in pixels of the photograph, named as in `REGION`."""
    (top, bottom), (left, right) = region.rows, region.columns
    values = (top, left, bottom - top, right - left, region.is_crop)
    return dict(zip(REGION, values, strict=True))
