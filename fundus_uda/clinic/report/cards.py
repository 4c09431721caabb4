"""The gallery: what the page shows of each photograph, in the order in which to check them."""

import base64
import io
import os
from collections.abc import Hashable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from PIL import Image

from fundus_uda.clinic.pictures import read_affinity
from fundus_uda.clinic.report.charts import rim_clock
from fundus_uda.clinic.report.numbers import Predictions
from fundus_uda.clinic.report.summary import MEASURED
from fundus_uda.data.mask_files import read_mask
from fundus_uda.data.samples import Sample
from fundus_uda.masks.classes import BACKGROUND, CUP, Mask
from fundus_uda.masks.outlines import svg_path
from fundus_uda.masks.region import DiscRegion

EYE_NAMES = {"R": "OD", "L": "OS"}

SORTABLE = {
    "vertical_cdr": "Vertical cup-to-disc ratio (vCDR)",
    "horizontal_cdr": "Horizontal cup-to-disc ratio (hCDR)",
    "area_cdr": "Area cup-to-disc ratio (aCDR)",
    "rim_narrowest_ratio": "Narrowest rim over diameter",
    "ddls_stage": "Disc damage stage (DDLS)",
    "disc_height_pixels": "Disc height, pixels",
    "disc_height_mm": "Disc height, mm",
    "estimated_dice": "Estimated Dice",
    "mean_affinity": "Mean affinity",
    "flip_dice_cup": "Agreement under flips, cup",
    "flip_dice_disc": "Agreement under flips, disc",
    "sharpness": "Sharpness",
    "before_dice_cup": "Agreement with the model before, cup",
    "before_dice_disc": "Agreement with the model before, disc",
    "before_vertical_cdr": "Vertical cup-to-disc ratio (vCDR) before",
    "dice_cup": "Dice of the cup",
    "dice_disc": "Dice of the disc",
    "dice_mean": "Mean Dice",
    "vertical_cdr_reference": "Vertical cup-to-disc ratio (vCDR) of the reference",
}
"""Columns that the gallery shows, sorts and filters by, where they have values."""


EMBEDDED_AT_MOST = 200
"""Largest number of photographs whose pictures the page holds itself, 65 KB each."""


def blackest(table: pd.DataFrame, now: Predictions) -> float | None:
    """Return the affinity that is black in all maps, the lowest first percentile of any.

    White is 1.

    Args:
        table: table of `numbers.numbers`.
        now: predictions that are shown.

    Returns:
        A value in [0, 1]; None without a map.
    """
    maps = (_affinity_of(row, now) for row in table.to_dict("records"))
    return min((float(np.quantile(m, 0.01)) for m in maps if m is not None), default=None)


def gallery(
    table: pd.DataFrame,
    columns: dict[str, str],
    now: Predictions,
    then: Predictions | None,
    references: dict[str, Sample],
    black: float | None,
    page: Path,
) -> Iterator[dict[str, Any]]:
    """Collect what the gallery shows.

    Of more than `EMBEDDED_AT_MOST` photographs, the pictures stay where `predict` wrote them, and
    the affinity maps are written into a folder beside the page.

    Args:
        table: table of `numbers.numbers`.
        columns: those of `SORTABLE` that have values.
        now: predictions that are shown.
        then: predictions of the model before, if any.
        references: samples with masks, by id.
        black: output of `blackest`.
        page: page to be written.

    Yields:
        A mapping per photograph, those to check first.
    """
    pictures = _Pictures(page, embedded=len(table) <= EMBEDDED_AT_MOST)
    for row in to_check_first(table).to_dict("records"):
        card = _card(row, columns, now, then, references, pictures)
        map_HW = _affinity_of(row, now) if black is not None else None
        card["affinity"] = None
        if map_HW is not None:
            card["affinity"] = pictures.affinity(row["image"], _grey(map_HW, black or 0.0))
        yield card


class _Pictures:
    """Addresses of pictures: the pictures themselves, or their places relative to the page."""

    def __init__(self, page: Path, embedded: bool) -> None:
        self.page, self.embedded = page, embedded
        self.maps = page.with_name(f"{page.stem}_affinity")
        if not embedded:
            self.maps.mkdir(parents=True, exist_ok=True)

    def of(self, file: Path) -> str:
        """Return the address of a JPEG."""
        if self.embedded:
            return _data_url(file.read_bytes())
        return quote(Path(os.path.relpath(file, self.page.parent)).as_posix())

    def affinity(self, name: str, jpeg: bytes) -> str:
        """Return the address of a photograph's affinity map."""
        if self.embedded:
            return _data_url(jpeg)
        file = self.maps / f"{name}.jpg"
        file.write_bytes(jpeg)
        return self.of(file)


def to_check_first(table: pd.DataFrame) -> pd.DataFrame:
    """Sort photographs by how much they need a look.

    The flagged come first, by their number of flags and then by their estimated Dice, lowest
    first; then those that were not measured; then the others.
    """
    order = table["status"].map(lambda s: 0 if s == "flagged" else 2 if s == "ok" else 1)
    keys = {"order": order, "flags": -table["flags"].map(lambda text: len(text.split()))}
    sorted_keys = table[["estimated_dice", "image"]].assign(**keys)
    by = ["order", "flags", "estimated_dice", "image"]
    return table.loc[sorted_keys.sort_values(by).index]


def _affinity_of(row: dict[Hashable, Any], now: Predictions) -> NDArray[np.float64] | None:
    file = now.folder / "affinity" / f"{row['image']}.png"
    return read_affinity(file) if row["status"] in MEASURED and file.is_file() else None


def _card(
    row: dict[Hashable, Any],
    columns: dict[str, str],
    now: Predictions,
    then: Predictions | None,
    references: dict[str, Sample],
    pictures: _Pictures,
) -> dict[str, Any]:
    """Collect what the gallery shows of one photograph, but its affinity map."""
    image, measured = row["image"], row["status"] in MEASURED
    card: dict[str, Any] = {
        **{name: row[name] for name in ("image", "status", "reason")},
        "flags": row["flags"].split(),
        "eye": EYE_NAMES.get(row["laterality"], ""),
        "measures": {name: float(row[name]) for name in columns if not pd.isna(row[name])},
        "review": row.get("review", ""),
        "comment": row.get("comment", ""),
        "measured": measured,
        "picture": None,
        "outlines": [],
        "whole": None,
        "rim": _rim(row),
    }
    file = now.folder / "crops" / f"{image}.jpg"
    if not file.is_file():
        return card
    with Image.open(file) as opened:
        width, height = opened.size
    card |= {"picture": pictures.of(file), "width": width, "height": height}
    card["size"] = f"{width}\N{MULTIPLICATION SIGN}{height}"
    if not measured:  # the picture is the whole photograph
        return card
    card["size"] += (
        f" of {row['region_width']:.0f}\N{MULTIPLICATION SIGN}{row['region_height']:.0f}"
    )
    masks = {"": now.mask(image)}
    if then:
        masks["before "] = then.mask(image)
    if image in references:
        masks["reference "], _ = read_mask(references[image])
    for whose, mask in masks.items():
        if mask is None:
            continue
        seen = _in_region(mask, row)
        for structure, part in (("disc", seen != BACKGROUND), ("cup", seen == CUP)):
            path = svg_path(part, (height, width), coarse=not pictures.embedded)
            card["outlines"].append((f"{whose}{structure}", path))
    own = masks[""]
    if own is not None and str(row["region_is_crop"]) != "True":
        file = now.folder / "locator" / f"{image}.jpg"
        card["whole"] = _whole(row, own.shape, pictures.of(file) if file.is_file() else None)
    return card


def _rim(row: dict[Hashable, Any]) -> dict[str, Any] | None:
    """Collect what is shown of the rim; None where the eye is unknown or the rim not measured."""
    ratios = [row[f"rim_clock_{hour}_ratio"] for hour in range(1, 13)]
    if row["laterality"] not in EYE_NAMES or any(map(pd.isna, ratios)):
        return None
    isnt, stage = row["isnt_rule"], row["ddls_stage"]
    return {
        "picture": rim_clock(ratios, row["laterality"]),
        "isnt": None if pd.isna(isnt) else str(isnt) == "True",
        "ddls": None if pd.isna(stage) else int(stage),
    }


def _whole(row: dict[Hashable, Any], shape: tuple[int, ...], picture: str | None) -> dict[str, Any]:
    """Collect where the square lies in the whole photograph (H, W)."""
    square = {name: int(row[f"region_{name}"]) for name in ("top", "left", "height", "width")}
    return {"picture": picture, "frame": {"height": shape[0], "width": shape[1]}, "square": square}


def _in_region(mask: Mask, row: dict[Hashable, Any]) -> Mask:
    top, left, height, width = (
        int(row[f"region_{name}"]) for name in ("top", "left", "height", "width")
    )
    region = DiscRegion((top, left), 1, (top, top + height), (left, left + width), is_crop=False)
    return region.crop(mask)


def _grey(map_HW: NDArray[np.float64], black: float) -> bytes:
    """Return an affinity map as a grey JPEG, from `black` to 1."""
    grey = ((map_HW - black) / (1 - black + 1e-6)).clip(0, 1) * 255
    written = io.BytesIO()
    Image.fromarray(grey.round().astype(np.uint8)).save(written, "JPEG", quality=80)
    return written.getvalue()


def _data_url(jpeg: bytes) -> str:
    return "data:image/jpeg;base64," + base64.b64encode(jpeg).decode()
