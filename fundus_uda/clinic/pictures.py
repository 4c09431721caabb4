"""Small pictures of the region around a disc: with outlines, plain, and its affinity."""

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from skimage.segmentation import find_boundaries
from torch.nn import functional as F

from fundus_uda.clinic.localise import round_field
from fundus_uda.data.masks import BACKGROUND, CUP

DISC_COLOUR, CUP_COLOUR = (64, 224, 64), (64, 160, 255)
OVERLAY_SIDE, CROP_SIDE, AFFINITY_SIDE = 768, 384, 192
"""The longer sides at most, in pixels."""


def overlay(photograph: NDArray[np.uint8], mask: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The photograph (H, W, 3) with the outlines of disc (green) and cup (blue)."""
    drawn = photograph.copy()
    width = max(1, round(max(mask.shape) / 300))
    for structure, colour in ((mask != BACKGROUND, DISC_COLOUR), (mask == CUP, CUP_COLOUR)):
        edge = torch.from_numpy(find_boundaries(structure, mode="inner")).float()[None, None]
        thick = F.max_pool2d(edge, 2 * width - 1, stride=1, padding=width - 1)[0, 0].bool()
        drawn[thick.numpy()] = colour
    return drawn


def write_pictures(
    out: Path,
    name: str,
    region: NDArray[np.uint8],
    mask: NDArray[np.uint8],
    affinity: NDArray[np.float32],
) -> None:
    """Write `overlays/<name>.png`, `crops/<name>.jpg` and `affinity/<name>.png` into a folder.

    Args:
        out: holds the three folders.
        name: of the photograph.
        region: (H, W, 3) uint8 around the disc.
        mask: (H, W) uint8 of it.
        affinity: (h, w) in [0, 1]; written as 255 times the root of what it lacks to 1, so that
            edges and doubts are bright on black.
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


def write_without_disc(out: Path, name: str, photograph: NDArray[np.uint8]) -> None:
    """Write `crops/<name>.jpg`, a whole photograph (H, W, 3) uint8, small, if it may show an eye.

    Only its round field, and nothing where there is none: what stands in the black around it, or
    in a scanned page, may name the patient.
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
