"""Small pictures of the region around a disc: outlined, plain, and its affinity."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from fundus_uda.data.field import round_field
from fundus_uda.masks.classes import Mask, Photograph
from fundus_uda.masks.outlines import overlay

OVERLAY_SIDE, CROP_SIDE, AFFINITY_SIDE = 768, 384, 192
"""Largest longer side of each picture, in pixels."""


def write_pictures(
    out: Path,
    name: str,
    region: Photograph,
    mask: Mask,
    affinity: NDArray[np.float32],
) -> None:
    """Write `overlays/<name>.png`, `crops/<name>.jpg` and `affinity/<name>.png` into a folder.

    Args:
        out: folder that holds the three folders.
        name: name of the photograph.
        region: (H, W, 3) uint8 RGB around the disc.
        mask: (H, W) uint8 of the region.
        affinity: (h, w) in [0, 1], written as 255 times the square root of one minus itself, so
            that edges and doubts are bright on black.
    """
    large = _at_most(Image.fromarray(region), OVERLAY_SIDE)
    outlines = Image.fromarray(mask).resize(large.size, Image.Resampling.NEAREST)
    drawn = overlay(np.asarray(large), np.asarray(outlines))
    Image.fromarray(drawn).save(out / "overlays" / f"{name}.png")
    small = _at_most(Image.fromarray(region), CROP_SIDE)
    small.save(out / "crops" / f"{name}.jpg", quality=80)
    doubt = np.sqrt((1 - affinity).clip(0, 1))
    grey = Image.fromarray((doubt * 255).round().astype(np.uint8))
    _at_most(grey, AFFINITY_SIDE).save(out / "affinity" / f"{name}.png", optimize=True)


def write_without_disc(out: Path, name: str, photograph: Photograph) -> None:
    """Write a whole photograph (H, W, 3), small, as `crops/<name>.jpg`, if it may show an eye.

    Only its round field is written, and nothing without one: text in the black around the field,
    or in a scanned page, may name the patient.
    """
    small = np.asarray(_at_most(Image.fromarray(photograph), CROP_SIDE))
    field = round_field(small)
    if field is not None:
        shown = Image.fromarray(small * field[..., None])
        shown.save(out / "crops" / f"{name}.jpg", quality=80)


def _at_most(picture: Image.Image, side: int) -> Image.Image:
    scale = min(1.0, side / max(picture.size))
    size = [max(1, round(length * scale)) for length in picture.size]
    return picture.resize((size[0], size[1]), Image.Resampling.LANCZOS)
