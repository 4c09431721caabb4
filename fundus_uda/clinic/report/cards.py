"""The gallery: what the page shows of each photograph, in the order in which to check them."""

import base64
import io
from collections.abc import Hashable
from pathlib import Path
from typing import Any

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


def gallery(
    table: pd.DataFrame,
    columns: dict[str, str],
    now: Predictions,
    then: Predictions | None,
    references: dict[str, Sample],
) -> tuple[list[dict[str, Any]], float | None]:
    """Collect what the gallery shows.

    Args:
        table: table of `numbers.numbers`.
        columns: those of `SORTABLE` that have values.
        now: predictions that are shown.
        then: predictions of the model before, if any.
        references: samples with masks, by id.

    Returns:
        A mapping per photograph, those to check first; and the affinity that is black in all maps,
        the lowest first percentile of any (None without a map). White is 1.
    """
    rows = to_check_first(table).to_dict("records")
    maps = {row["image"]: _affinity_of(row, now) for row in rows}
    lowest = [float(np.quantile(map_HW, 0.01)) for map_HW in maps.values() if map_HW is not None]
    black = min(lowest, default=None)
    cards = []
    for row in rows:
        card = _card(row, columns, now, then, references)
        map_HW = maps[row["image"]]
        card["affinity"] = None if map_HW is None else _grey_url(map_HW, black or 0.0)
        cards.append(card)
    return cards, black


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
    card |= {"picture": _data_url(file.read_bytes()), "width": width, "height": height}
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
            card["outlines"].append((f"{whose}{structure}", svg_path(part, (height, width))))
    own = masks[""]
    return card | {"whole": None if own is None else _whole(row, own.shape, now.folder)}


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


def _whole(row: dict[Hashable, Any], shape: tuple[int, ...], folder: Path) -> dict[str, Any] | None:
    """Collect where the square lies in the whole photograph (H, W); None for a crop."""
    if str(row["region_is_crop"]) == "True":
        return None
    file = folder / "locator" / f"{row['image']}.jpg"
    square = {name: int(row[f"region_{name}"]) for name in ("top", "left", "height", "width")}
    picture = _data_url(file.read_bytes()) if file.is_file() else None
    return {"picture": picture, "frame": {"height": shape[0], "width": shape[1]}, "square": square}


def _in_region(mask: Mask, row: dict[Hashable, Any]) -> Mask:
    top, left, height, width = (
        int(row[f"region_{name}"]) for name in ("top", "left", "height", "width")
    )
    region = DiscRegion((top, left), 1, (top, top + height), (left, left + width), is_crop=False)
    return region.crop(mask)


def _grey_url(map_HW: NDArray[np.float64], black: float) -> str:
    """Return an affinity map as a grey picture, from `black` to 1."""
    grey = ((map_HW - black) / (1 - black + 1e-6)).clip(0, 1) * 255
    written = io.BytesIO()
    Image.fromarray(grey.round().astype(np.uint8)).save(written, "JPEG", quality=80)
    return _data_url(written.getvalue())


def _data_url(jpeg: bytes) -> str:
    return "data:image/jpeg;base64," + base64.b64encode(jpeg).decode()
