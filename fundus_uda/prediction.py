"""Photographs in; masks, overlays and measurements out."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from PIL import Image
from skimage.segmentation import find_boundaries
from torch import Tensor, nn
from torch.nn import functional as F

from fundus_uda.affinity import mean_affinity
from fundus_uda.clinic.measurements import measure
from fundus_uda.data.datasets import Sample, images_in
from fundus_uda.data.masks import BACKGROUND, CUP
from fundus_uda.data.transforms import (
    content_box,
    fixed_transforms,
    plain_transforms,
    read_photograph,
)
from fundus_uda.engine.errors import InputError
from fundus_uda.engine.runlog import require_empty
from fundus_uda.model import Model
from fundus_uda.networks import input_statistics
from fundus_uda.settings import FundusSettings

DISC_COLOUR, CUP_COLOUR = (64, 224, 64), (64, 160, 255)


class Prediction:
    """Of one photograph, at its own size."""

    def __init__(self, sample: Sample, probabilities: Tensor, photograph: Tensor) -> None:
        self.sample = sample
        self.photograph: NDArray[np.uint8] = photograph.permute(1, 2, 0).numpy()
        """(H, W, 3) uint8."""
        size = photograph.shape[1:]
        box = content_box(size[0], size[1], probabilities.shape[-1])
        content = probabilities[:, *box][None]
        upright = F.interpolate(content, size=size, mode="bilinear", align_corners=False)[0]
        self.mask: NDArray[np.uint8] = upright.argmax(dim=0).to(torch.uint8).cpu().numpy()
        """(H, W) uint8 in {0, 1, 2}."""
        self.mean_affinity = float(mean_affinity(content))
        """In [0, 1], at network size."""


@torch.no_grad()
def predictions(
    segmenter: nn.Module, settings: FundusSettings, samples: list[Sample], device: torch.device
) -> Iterator[Prediction]:
    """The network's reading of each sample, one at a time; consumes no random numbers.

    Raises:
        InputError: an unreadable photograph.
    """
    fixed = fixed_transforms(settings.data.size)
    plain = plain_transforms(*input_statistics(settings.network.encoder))
    segmenter.eval()
    for sample in samples:
        photograph = read_photograph(sample.image, sample.stereo)
        image = plain(fixed({"image": photograph}))["image"][None].to(device)
        probabilities = segmenter(image).float().softmax(dim=1)[0]
        yield Prediction(sample, probabilities, photograph)


def predict(model: Model, paths: list[Path], out: Path, device: torch.device) -> pd.DataFrame:
    """Write `masks/<stem>.png` (0, 1, 2), `overlays/<stem>.png` and `measurements.csv`.

    Args:
        model: of `load_model`.
        paths: image files, and folders whose images are taken.
        out: a folder, made if need be.
        device: of the model.

    Returns:
        The rows of `measurements.csv`: image, all of `clinic.measurements.measure` (of which
        vertical_cdr comes first), mean_affinity.

    Raises:
        InputError: nothing to read, two images of one name, or an unreadable one.
    """
    require_empty(out)
    samples = _collect(paths)
    for folder in ("masks", "overlays"):
        (out / folder).mkdir(parents=True, exist_ok=True)
    rows = []
    for prediction in predictions(model.segmenter, model.settings, samples, device):
        name, mask = prediction.sample.id, prediction.mask
        Image.fromarray(mask).save(out / "masks" / f"{name}.png")
        Image.fromarray(overlay(prediction.photograph, mask)).save(out / "overlays" / f"{name}.png")
        rows.append({"image": name, **measure(mask), "mean_affinity": prediction.mean_affinity})
    table = pd.DataFrame(rows)
    table.to_csv(out / "measurements.csv", index=False)
    return table


def overlay(photograph: NDArray[np.uint8], mask: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The photograph (H, W, 3) with the outlines of disc (green) and cup (blue)."""
    drawn = photograph.copy()
    width = max(1, round(max(mask.shape) / 300))
    for structure, colour in ((mask != BACKGROUND, DISC_COLOUR), (mask == CUP, CUP_COLOUR)):
        edge = torch.from_numpy(find_boundaries(structure, mode="inner")).float()[None, None]
        thick = F.max_pool2d(edge, 2 * width - 1, stride=1, padding=width - 1)[0, 0].bool()
        drawn[thick.numpy()] = colour
    return drawn


def _collect(paths: list[Path]) -> list[Sample]:
    files: list[Path] = []
    for path in paths:
        if path.is_dir():
            files += images_in(path)
        elif path.is_file():
            files.append(path)
        else:
            raise InputError(f"Expected an image or a folder of images at {path}. Got: nothing.")
    if not files:
        raise InputError(f"Expected images in {', '.join(map(str, paths))}. Got: none.")
    by_stem: dict[str, Path] = {}
    for file in files:
        if by_stem.get(file.stem, file).resolve() != file.resolve():
            raise InputError(
                f"Expected images of different names, since results are named after them. "
                f"Got: {by_stem[file.stem]} and {file}."
            )
        by_stem[file.stem] = file
    return [Sample(stem, file) for stem, file in by_stem.items()]
