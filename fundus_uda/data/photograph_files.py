"""Photographs read from files, upright and with their masks, as tensors (channel, row, column).

MONAI's readers give width before height unless told otherwise, which would swap vertical and
horizontal cup-to-disc ratios.
"""

from pathlib import Path

import numpy as np
import torch
from monai.data import PILReader
from PIL import Image, ImageOps
from torch import Tensor

from fundus_uda.data.field import on_black
from fundus_uda.data.mask_files import left_half, read_mask
from fundus_uda.data.samples import Sample, refusal
from fundus_uda.errors import InputError
from fundus_uda.masks.region import region_of
from fundus_uda.paths import require_no_stream

MAX_ASPECT_RATIO = 64
"""Largest ratio of a photograph's longer to its shorter side. Beyond it, the shorter side would
round to nothing at the smallest network input (64 pixels)."""


def read_photograph(path: Path, stereo: bool = False) -> Tensor:
    """Read a photograph as (3, H, W) uint8, upright by its EXIF orientation, its border black.

    In memory the channels stand together, as in a file: as (H, W, 3) it is contiguous.

    Args:
        path: image file.
        stereo: whether the file may be a stereo pair, of which the left half is taken.

    Raises:
        InputError: not an image, a truncated one, or a strip far longer than wide.
    """
    reader = PILReader(converter=_upright_rgb, reverse_indexing=False)
    try:
        require_no_stream(path)
        pixels, _ = reader.get_data(reader.read(path))
    except Exception as error:  # a decoder may raise anything on damaged bytes
        raise InputError(
            f"Expected a readable image at {path}. Got: {refusal(error)}. Replace or remove it."
        ) from None
    photograph = np.asarray(left_half(pixels) if stereo else pixels, dtype=np.uint8)
    height, width = photograph.shape[:2]
    if max(height, width) > MAX_ASPECT_RATIO * min(height, width):
        raise InputError(
            f"Expected a photograph at {path}, of sides at most {MAX_ASPECT_RATIO} to 1. "
            f"Got: {width}x{height}. Replace or remove it."
        )
    own = np.require(on_black(photograph), requirements=("C", "W"))
    return torch.from_numpy(own).permute(2, 0, 1)


def read_sample(sample: Sample) -> dict[str, Tensor]:
    """Read the photograph of a sample and its mask, and check that their sizes match.

    A sample that is `around_disc` is cropped to the square around the disc of its mask.

    This stands outside the pipelines because MONAI wraps the errors raised in them.

    Returns:
        {"image": (3, H, W) uint8, contiguous; "label": (1, H, W) uint8 if the sample has a mask}.

    Raises:
        InputError: an unreadable photograph or mask, a mask of another size, or one without a disc
            to crop to.
    """
    image = read_photograph(sample.image, sample.stereo).contiguous()
    if not sample.masks:
        return {"image": image}
    mask, _ = read_mask(sample)
    require_same_size(image, mask.shape, sample)
    if sample.around_disc:
        region = region_of(mask)
        if region is None:
            raise InputError(
                f"Expected an optic disc in {sample.masks[0]}, to crop the photograph around it. "
                f"Got: none. Draw the disc, or leave the photograph out."
            )
        photograph = image.permute(1, 2, 0).numpy()
        image = torch.from_numpy(region.crop(photograph).transpose(2, 0, 1).copy())
        mask = region.crop(mask)
    return {"image": image, "label": torch.from_numpy(mask.copy())[None]}


def require_same_size(image: Tensor, mask_shape: tuple[int, ...], sample: Sample) -> None:
    """Raise an InputError unless the mask is as high and wide as its photograph."""
    (height, width), (rows, columns) = image.shape[1:], mask_shape
    if (height, width) != (rows, columns):
        raise InputError(
            f"Expected a mask of {width}x{height} for {sample.image}. "
            f"Got: {columns}x{rows} in {sample.masks[0]}. Draw the mask on that photograph, or "
            f"remove both."
        )


def _upright_rgb(image: Image.Image) -> Image.Image:
    if image.mode.startswith(("I", "F")):  # Pillow would cut 16 bits down to white
        raise ValueError(f"pixels of mode {image.mode}, not 8 bits; save it as 8-bit RGB")
    upright = ImageOps.exif_transpose(image)
    if upright.has_transparency_data:  # what cannot be seen is border
        seen = upright.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", seen.size, "black"), seen).convert("RGB")
    return upright.convert("RGB")
