"""Steps of a MONAI bundle that MONAI lacks; its configs name them.

They do what `predict` does with crops around the disc. In their items, `image` is a photograph,
`height` and `width` are its size, and `file` is its path, if it has one.
"""

from collections.abc import Callable, Hashable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from monai.inferers import Inferer
from monai.transforms import MapTransform
from torch import Tensor

from fundus_uda.data.datasets import load_samples
from fundus_uda.data.photograph_files import read_sample
from fundus_uda.data.samples import Sample, images_in, require_masks
from fundus_uda.data.transforms import content_box
from fundus_uda.errors import InputError
from fundus_uda.masks.postprocess import remove_small_components
from fundus_uda.segmentation.model import views_of
from fundus_uda.segmentation.prediction import mask_of

Item = dict[Hashable, Any]


def photographs_in(folder: str) -> list[Item]:
    """List the photographs in a folder, as `{"image": path}`.

    Raises:
        InputError: no such folder, or no image in it.
    """
    images = images_in(Path(folder)) if Path(folder).is_dir() else []
    if not images:
        raise InputError(
            f"Expected a folder of crops around the disc at {folder}. Got: none. Name one with "
            f"--dataset_dir."
        )
    return [{"image": str(image)} for image in images]


def labelled_in(folder: str) -> list[Item]:
    """List the labelled photographs of a folder with `images/` and `masks/`, as MONAI lists data.

    Returns:
        `{"image": path, "label": path}` for each.

    Raises:
        InputError: see `load_samples` and `require_masks`.
    """
    uri = f"folder:{folder}"
    samples = require_masks(load_samples(uri), uri)
    return [{"image": str(sample.image), "label": str(sample.masks[0])} for sample in samples]


class ReadPhotograph(MapTransform):
    """Step that reads `image` to (3, H, W) uint8, and `label`, where there is one, to (1, H, W).

    Each is a path; an image may also be an array (H, W, 3) uint8, RGB, which MONAI Deploy hands on.
    What else an item has is kept: MONAI Label finds its own options in it.
    """

    def __init__(self) -> None:
        super().__init__("image")

    def __call__(self, data: Mapping[Hashable, Any]) -> Item:
        """Return the items; see the class.

        Raises:
            InputError: an array of another shape or type, or see `read_sample`.
        """
        found = data["image"]
        if not isinstance(found, str | Path):
            return {**data, **_in_memory(found)}
        path = Path(found)
        masks = (Path(data["label"]),) if "label" in data else ()
        read: dict[Any, Any] = dict(read_sample(Sample(path.stem, path, masks, "labels")))
        height, width = read["image"].shape[1:]
        return {**data, **read, "file": str(path), "height": height, "width": width}


def _in_memory(found: Any) -> Item:
    pixels = np.asarray(found)
    if pixels.ndim != 3 or pixels.shape[2] != 3 or pixels.dtype != np.uint8:
        raise InputError(
            f"Expected a photograph (H, W, 3) of uint8, RGB. Got: {pixels.dtype} of shape "
            f"{pixels.shape}."
        )
    image = torch.from_numpy(np.ascontiguousarray(pixels.transpose(2, 0, 1)))
    return {"image": image, "height": pixels.shape[0], "width": pixels.shape[1]}


class ViewsInferer(Inferer):
    """Inferer of class probabilities (B, 3, h, w), with `flips` the mean over flipped views."""

    def __init__(self, flips: bool) -> None:
        super().__init__()
        self.flips = flips

    def __call__(self, inputs: Tensor, network: Callable[..., Any], *_: Any, **__: Any) -> Tensor:
        """Compute the probabilities of normalised images (B, 3, h, w)."""
        with torch.no_grad():
            return views_of(network, inputs, self.flips).mean(0)


class MakeMask(MapTransform):
    """Step that turns `pred`, probabilities (3, h, w), into a mask (1, W, H, 1) uint8.

    MONAI counts the columns of a picture first, and its depth last: so `SaveImaged`, MONAI Label
    and MONAI Deploy take it for one slice.
    """

    def __init__(self, fill_cup_hull: bool) -> None:
        super().__init__("pred")
        self.filled = fill_cup_hull

    def __call__(self, data: Mapping[Hashable, Any]) -> Item:
        """Return the items; see the class."""
        height, width = int(data["height"]), int(data["width"])
        probabilities = torch.as_tensor(data["pred"])[None]
        box = content_box(height, width, probabilities.shape[-1])
        mask = mask_of(probabilities[..., *box], (height, width), self.filled)
        cleaned = np.ascontiguousarray(remove_small_components(mask).T)
        made: Item = {"pred": torch.from_numpy(cleaned)[None, ..., None]}
        if "file" in data:
            made["pred_meta_dict"] = {"filename_or_obj": data["file"]}
        return {**data, **made}
