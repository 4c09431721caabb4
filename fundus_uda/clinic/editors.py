"""Outlines of a set of photographs in the forms of annotation programs: LabelMe and COCO."""

import json
import os
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
from skimage.measure import approximate_polygon

from fundus_uda.clinic.listing import Ids, list_photographs
from fundus_uda.data.mask_files import read_mask
from fundus_uda.data.samples import Sample
from fundus_uda.errors import InputError
from fundus_uda.files import write_whole
from fundus_uda.masks.classes import BACKGROUND, CUP, Mask
from fundus_uda.masks.labelme import CUP_LABEL, DISC_LABEL, TOLERANCE, labelme_text
from fundus_uda.masks.outlines import smooth_outlines
from fundus_uda.output import progress
from fundus_uda.unfinished import require_replaceable, rewritten

EditorFormat = Literal["labelme", "coco"]
CATEGORIES = {1: DISC_LABEL, 2: CUP_LABEL}
"""COCO's categories; the disc is rim and cup together."""
NO_OUTLINE = "Expected an outline of the photograph in the predictions. Got: none."


def write_for_editors(
    predictions: Path,
    paths: list[Path],
    out: Path,
    form: EditorFormat,
    key: bytes | None = None,
    recursive: bool = False,
    ids: Ids = "name",
    overwrite: bool = False,
) -> pd.DataFrame:
    """Write outlines as `<id>.json` for LabelMe, or all as `annotations.json` in COCO's form.

    Both name the photographs' files, relative to `out`: they are to be kept beside each other.

    Args:
        predictions: folder that `predict` wrote, or one with `masks/<id>.png` of 0, 1, 2.
        paths: the same photographs (see `list_photographs`).
        out: new or empty folder.
        form: form to write.
        key: key that hashed the ids, if one did.
        recursive: see `list_photographs`.
        ids: see `list_photographs`.
        overwrite: whether `out` may hold earlier outlines that nobody has changed, which are
            replaced (see `unfinished.require_replaceable`).

    Returns:
        A row per photograph: image, status ("ok", or "not_written") and reason.

    Raises:
        InputError: no such predictions, `out` is not empty, or see `list_photographs`.
    """
    if not (predictions / "masks").is_dir():
        raise InputError(
            f"Expected a folder that `predict` wrote, with masks, at {predictions}. Got: another, "
            f"or none."
        )
    require_replaceable(out, "outlines", overwrite)
    files = list_photographs(paths, key, recursive, ids)
    rows, outlined = [], []
    with rewritten(out, "outlines"):
        for file in progress(files, "outlines", len(files)):
            row = {"image": file.id, "status": "ok", "reason": ""}
            mask_file = predictions / "masks" / f"{file.id}.png"
            rows.append(row)
            if not mask_file.is_file():
                row |= {"status": "not_written", "reason": NO_OUTLINE}
                continue
            mask, _ = read_mask(Sample(file.id, file.path, (mask_file,), "labels"))
            place = Path(os.path.relpath(file.path, out)).as_posix()
            if form == "labelme":
                write_whole(out / f"{file.id}.json", labelme_text(mask, place))
            else:
                outlined.append((place, mask))
        if form == "coco":
            write_whole(out / "annotations.json", json.dumps(coco_of(outlined)) + "\n")
    return pd.DataFrame(rows, columns=["image", "status", "reason"])


def coco_of(outlined: list[tuple[str, Mask]]) -> dict[str, Any]:
    """Make the contents of a COCO file of object detection.

    Args:
        outlined: file name of each photograph, and its mask (H, W) in {0, 1, 2}.

    Returns:
        `images`, `annotations` (polygons, area and box in pixels, of the disc as category 1 and the
        cup as 2) and `categories`.
    """
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    for number, (name, mask) in enumerate(outlined, start=1):
        height, width = mask.shape
        images.append({"id": number, "file_name": name, "height": height, "width": width})
        for category, structure in ((1, mask != BACKGROUND), (2, mask == CUP)):
            rows, columns = np.nonzero(structure)
            if not rows.size:
                continue
            lines = [approximate_polygon(line, TOLERANCE) for line in smooth_outlines(structure)]
            top, left = int(rows.min()), int(columns.min())
            size = int(columns.max()) + 1 - left, int(rows.max()) + 1 - top
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": number,
                    "category_id": category,
                    "segmentation": [np.round(line, 2).ravel().tolist() for line in lines],
                    "area": int(rows.size),
                    "bbox": [left, top, *size],
                    "iscrowd": 0,
                }
            )
    categories = [{"id": id_, "name": name} for id_, name in CATEGORIES.items()]
    return {"images": images, "annotations": annotations, "categories": categories}
