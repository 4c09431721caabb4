"""Pictures of the region around a disc (outlined, plain, its affinity) and of where it lies."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from fundus_uda.data.field import round_field
from fundus_uda.errors import InputError
from fundus_uda.files import write_picture
from fundus_uda.masks.classes import Mask, Photograph
from fundus_uda.masks.outlines import overlay

OVERLAY_SIDE, CROP_SIDE, AFFINITY_SIDE, WITHOUT_DISC_SIDE, WHOLE_SIDE = 768, 640, 192, 384, 128
"""Largest longer side of each picture, in pixels. The report embeds all but the overlay: at a
quality of 80, a crop of 640 pixels is about 36 KB and a whole photograph of 128 pixels 2 KB."""
AFFINITY_LEVELS = 65_535
"""Value of a picture of affinity where it is 1."""


def write_pictures(
    out: Path,
    name: str,
    region: Photograph,
    mask: Mask,
    affinity: NDArray[np.float32],
) -> None:
    """Write `overlays/<name>.jpg`, `crops/<name>.jpg` and `affinity/<name>.png` into a folder.

    Args:
        out: folder that holds the three folders.
        name: name of the photograph.
        region: (H, W, 3) uint8 RGB around the disc.
        mask: (H, W) uint8 of the region.
        affinity: (h, w) in [0, 1], written in 16 bits, 65535 for 1.
    """
    large = _at_most(Image.fromarray(region), OVERLAY_SIDE)
    outlined = Image.fromarray(overlay(np.asarray(large), mask))
    # Without subsampling, which would blur the colours of the lines. A PNG takes 30 times as long.
    write_picture(out / "overlays" / f"{name}.jpg", outlined, quality=90, subsampling=0)
    small = _at_most(Image.fromarray(region), CROP_SIDE)
    write_picture(out / "crops" / f"{name}.jpg", small, quality=80)
    shrunk = np.asarray(_at_most(Image.fromarray(affinity.astype(np.float32)), AFFINITY_SIDE))
    levels = (shrunk.clip(0, 1) * AFFINITY_LEVELS).round().astype(np.uint16)
    write_picture(out / "affinity" / f"{name}.png", Image.fromarray(levels), compress_level=4)


def read_affinity(file: Path) -> NDArray[np.float64]:
    """Read an affinity map (h, w) in [0, 1] that `write_pictures` wrote.

    Raises:
        InputError: it is no picture of 16 bits.
    """
    with Image.open(file) as opened:
        if opened.mode != "I;16":
            raise InputError(
                f"Expected an affinity map of 16 bits at {file}. Got: mode {opened.mode}. "
                "Predict anew with this version."
            )
        return np.asarray(opened) / AFFINITY_LEVELS


def write_locator(out: Path, name: str, photograph: Photograph) -> None:
    """Write the round field of a whole photograph (H, W, 3), very small, as `locator/<name>.jpg`.

    Nothing is written without a round field (see `write_without_disc`).
    """
    _write_round_field(out / "locator" / f"{name}.jpg", photograph, WHOLE_SIDE)


def write_without_disc(out: Path, name: str, photograph: Photograph) -> None:
    """Write a whole photograph (H, W, 3), small, as `crops/<name>.jpg`, if it may show an eye.

    Only its round field is written, and nothing without one: text in the black around the field,
    or in a scanned page, may name the patient.
    """
    _write_round_field(out / "crops" / f"{name}.jpg", photograph, WITHOUT_DISC_SIDE)


def _write_round_field(file: Path, photograph: Photograph, side: int) -> None:
    small = np.asarray(_at_most(Image.fromarray(photograph), WITHOUT_DISC_SIDE))
    field = round_field(small)
    if field is not None:
        shown = _at_most(Image.fromarray(small * field[..., None]), side)
        write_picture(file, shown, quality=80)


def _at_most(picture: Image.Image, side: int) -> Image.Image:
    scale = min(1.0, side / max(picture.size))
    size = [max(1, round(length * scale)) for length in picture.size]
    return picture.resize((size[0], size[1]), Image.Resampling.LANCZOS, reducing_gap=3.0)
