"""Steps of a MONAI bundle that MONAI lacks; its configs name them.

They do what `predict` does with crops around the disc. In their items, `image` is a photograph,
and `name`, `height` and `width` are its file's stem and its size.
"""

from collections.abc import Callable, Hashable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from monai.inferers import Inferer
from monai.transforms import Transform
from PIL import Image
from torch import Tensor

from fundus_uda.data.datasets import load_samples
from fundus_uda.data.samples import Sample, images_in, require_masks
from fundus_uda.data.transforms import content_box, read_photograph, read_sample
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
    """List the labelled photographs of a folder with `images/` and `masks/`.

    Raises:
        InputError: see `load_samples` and `require_masks`.
    """
    uri = f"folder:{folder}"
    return [{"image": sample} for sample in require_masks(load_samples(uri), uri)]


class ReadPhotograph(Transform):
    """Step that reads `image` to (3, H, W) uint8: a path, or a sample with its `label`.

    What else an item has is kept: MONAI Label finds its own options in it.
    """

    def __call__(self, data: Mapping[Hashable, Any]) -> Item:
        """Return the items; see the class."""
        found = data["image"]
        if isinstance(found, Sample):
            sample = read_sample(found)
            return {**data, "image": sample["image"], "label": sample["label"]}
        path = Path(found)
        photograph = read_photograph(path)
        height, width = photograph.shape[1:]
        told: Item = {"name": path.stem, "height": height, "width": width}
        return {**data, "image": photograph, **told}


class ViewsInferer(Inferer):
    """Inferer of class probabilities (B, 3, h, w), with `flips` the mean over flipped views."""

    def __init__(self, flips: bool) -> None:
        super().__init__()
        self.flips = flips

    def __call__(self, inputs: Tensor, network: Callable[..., Any], *_: Any, **__: Any) -> Tensor:
        """Compute the probabilities of normalised images (B, 3, h, w)."""
        with torch.no_grad():
            return views_of(network, inputs, self.flips).mean(0)


class MakeMask(Transform):
    """Step that turns `pred`, probabilities (3, h, w), into a mask (1, H, W) uint8."""

    def __init__(self, fill_cup_hull: bool) -> None:
        self.filled = fill_cup_hull

    def __call__(self, data: Mapping[Hashable, Any]) -> Item:
        """Return the items; see the class."""
        height, width = int(data["height"]), int(data["width"])
        probabilities = torch.as_tensor(data["pred"])[None]
        box = content_box(height, width, probabilities.shape[-1])
        mask = mask_of(probabilities[..., *box], (height, width), self.filled)
        cleaned = remove_small_components(mask)
        return {**data, "pred": torch.from_numpy(cleaned)[None]}


class WriteMask(Transform):
    """Step that writes `pred`, a mask, to `FOLDER/NAME.png`."""

    def __init__(self, folder: str) -> None:
        self.folder = Path(folder)

    def __call__(self, data: Mapping[Hashable, Any]) -> Item:
        """Return the items as they are; see the class."""
        self.folder.mkdir(parents=True, exist_ok=True)
        mask = np.asarray(data["pred"], np.uint8)[0]
        Image.fromarray(mask).save(self.folder / f"{data['name']}.png")
        return dict(data)
