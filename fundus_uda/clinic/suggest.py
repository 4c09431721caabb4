"""The photographs of a set that are most worth a reader's outlines, ready for an editor."""

import json
import shlex
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from PIL import Image

from fundus_uda.clinic.crops import row_or_reason
from fundus_uda.clinic.listing import Ids, PhotographFile, list_photographs
from fundus_uda.clinic.outlining import Outlined, outlined_region
from fundus_uda.clinic.reading import read
from fundus_uda.data.outlined import SUGGESTED, WRITTEN
from fundus_uda.engine.fingerprint import digest
from fundus_uda.errors import InputError
from fundus_uda.files import write_picture, write_table, write_whole
from fundus_uda.masks.classes import BACKGROUND
from fundus_uda.masks.labelme import labelme_text
from fundus_uda.masks.measurements import vertical_cup_to_disc_ratio
from fundus_uda.masks.postprocess import remove_small_components
from fundus_uda.output import note, progress
from fundus_uda.segmentation.model import Model
from fundus_uda.segmentation.prediction import outline
from fundus_uda.segmentation.quality import agreement
from fundus_uda.unfinished import require_replaceable, rewritten

COLUMNS = ("image", "accepted", "doubt", "estimated_dice", "models_dice", "vertical_cdr")
"""Columns of `suggested.csv`."""

_TEXT = """Outlines to correct

These {count} photographs are the ones to outline first, in the order of suggested.csv. Correct each
in the program that you like, in one of two places:

images/NAME.json   LabelMe: open the folder images; polygons "optic disc" and "optic cup"
masks/NAME.png     napari, 3D Slicer, ITK-SNAP or a paint program: open images/NAME.png, and this as
                   its segmentation. 0 is background, 1 rim (disc without cup), 2 cup. A program
                   that saves NIfTI may write masks/NAME.nii.gz beside it.

An outline counts once its file has changed. Where one is right as it is, write yes into the column
`accepted` of suggested.csv. The others are left out: if only wrong outlines come back, all borders
are moved too far. Five or more tell where you draw. Do not resize or crop the photographs. Then:

    fundus-uda adapt --source KIND:PATH --target PHOTOS --outlined {folder} --out adapted_next

PHOTOS are the same as before. For research. Not a medical device.
"""


def suggest(
    model: Model,
    paths: list[Path],
    out: Path,
    count: int,
    before: Model | None = None,
    key: bytes | None = None,
    recursive: bool = False,
    ids: Ids = "name",
    overwrite: bool = False,
) -> pd.DataFrame:
    """Choose the photographs that are most worth outlining, and write them into a folder.

    The photographs are ordered by the vertical cup-to-disc ratio that the model finds, those in
    which it is unsure of the disc last, and divided into `count` groups of equal size, so that
    small and large cups are among the choice. Of each group, the one of the largest `doubt` is
    taken. No mask of a reader is read.

    Writes `images/<id>.png`, the square around the disc; the model's outline of it as
    `masks/<id>.png` (0 background, 1 rim, 2 cup) and `images/<id>.json` for LabelMe; the table
    `suggested.csv`; and `README.txt`. `data.outlined` reads the folder once outlines are corrected.

    Args:
        model: trained model.
        paths: see `list_photographs`.
        out: new or empty folder.
        count: number of photographs to choose.
        before: another model, for example that before adaptation, to disagree with.
        key: key that hashes the ids (see `list_photographs`).
        recursive: see `list_photographs`.
        ids: see `list_photographs`.
        overwrite: whether `out` may hold an earlier choice that nobody has worked on, which is
            replaced (see `unfinished.require_replaceable`).

    Returns:
        A row per chosen photograph, the most doubtful first: image; accepted, blank; doubt, the
        mean of 1 - estimated_dice and 1 - models_dice, or 1 where the model outlines no disc;
        estimated_dice (see `quality.quality`); models_dice, the mean Dice of cup and disc between
        the two models (NaN without `before`); vertical_cdr.

    Raises:
        InputError: see `list_photographs`; or the folder is not empty, or fewer photographs show a
            disc than are to be chosen.
    """
    require_replaceable(out, "suggest", overwrite)
    files = list_photographs(paths, key, recursive, ids)
    row_of = partial(row_or_reason, partial(_doubt_in, model, before))
    rows = [row_of(file) for file in progress(files, "photographs", len(files))]
    table = pd.DataFrame(rows, columns=[*COLUMNS, "reason"])
    seen = table[table["doubt"].notna()]
    if left_out := len(table) - len(seen):
        note(f"Left out, since no disc is found or shown in them: {left_out} photographs.")
    if len(seen) < count:
        raise InputError(
            f"Expected at least {count} photographs that show the optic disc. Got: {len(seen)} of "
            f"{len(table)}. Lower --count, or give more photographs."
        )
    chosen = table.loc[most_doubtful(seen, count), list(COLUMNS)]
    wanted = set(chosen["image"])
    with rewritten(out, "suggest"):
        for folder in ("images", "masks"):
            (out / folder).mkdir()
        for file in files:
            if file.id in wanted:
                _write(model, file, out)
        written = {str(path.relative_to(out).as_posix()): digest(path) for path in _outlines(out)}
        write_whole(out / WRITTEN, json.dumps(written, indent=1) + "\n")
        write_table(out / SUGGESTED, chosen)
        write_whole(out / "README.txt", _TEXT.format(count=count, folder=shlex.quote(str(out))))
    return chosen.reset_index(drop=True)


def most_doubtful(table: pd.DataFrame, count: int) -> list[Any]:
    """Choose rows of large doubt among small and large cups alike.

    Args:
        table: columns image, doubt and vertical_cdr (NaN if unknown); at least `count` rows.
        count: number of rows to choose.

    Returns:
        Their labels in the index, those of the largest doubt first.
    """
    ordered = table.sort_values(["vertical_cdr", "image"], na_position="last")
    groups = np.array_split(np.arange(len(ordered)), count)
    chosen = [ordered.iloc[places]["doubt"].idxmax() for places in groups]
    return list(table.loc[chosen].sort_values("doubt", ascending=False, kind="stable").index)


def _doubt_in(model: Model, before: Model | None, file: PhotographFile) -> dict[str, Any]:
    """Return the row of a photograph; without a doubt where no disc is found or may be shown."""
    photograph = read(file)
    row: dict[str, Any] = {"image": file.id, "accepted": ""}
    if photograph.pixels is None or photograph.burned_in_text:
        return row
    found = outlined_region(model, photograph.pixels)
    if not isinstance(found, Outlined):
        return row | ({"doubt": 1.0} if found.around is not None else {})
    estimate = found.quality["estimated_dice"]
    row |= {"estimated_dice": estimate, "doubt": 1 - estimate}
    if before is not None:
        other = remove_small_components(outline(before, found.around).mask)
        row["models_dice"] = float(np.mean(agreement(other, found.seen)))
        row["doubt"] = (row["doubt"] + 1 - row["models_dice"]) / 2
    return row | {"vertical_cdr": vertical_cup_to_disc_ratio(found.seen)}


def _write(model: Model, file: PhotographFile, out: Path) -> None:
    """Write a photograph around its disc, and the model's outline of it."""
    pixels = read(file).pixels
    assert pixels is not None  # it was read before
    found = outlined_region(model, pixels)
    assert found.around is not None
    around = found.around
    empty = np.full(around.shape[:2], BACKGROUND, np.uint8)
    mask = found.seen if isinstance(found, Outlined) else empty
    write_picture(out / "images" / f"{file.id}.png", Image.fromarray(around))
    write_picture(out / "masks" / f"{file.id}.png", Image.fromarray(mask))
    write_whole(out / "images" / f"{file.id}.json", labelme_text(mask, f"{file.id}.png"))


def _outlines(out: Path) -> list[Path]:
    """List the files of outlines in a folder, which a reader may correct."""
    return sorted([*(out / "images").glob("*.json"), *(out / "masks").iterdir()])
