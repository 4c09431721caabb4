"""A labelled set in the style of another camera, written as a `folder:` dataset to train on."""

from functools import partial
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from skimage.segmentation import clear_border
from torch import Tensor, nn

from fundus_uda.data.datasets import load_samples
from fundus_uda.data.masks import read_mask
from fundus_uda.data.samples import Sample, require_masks, without_masks
from fundus_uda.data.transforms import read_sample
from fundus_uda.engine.runlog import RunFolder
from fundus_uda.model import load_model
from fundus_uda.networks import input_statistics
from fundus_uda.translation.images import Domain
from fundus_uda.translation.settings import CycadaSettings, TranslationSettings
from fundus_uda.translation.stage import translated

BLACK = 10
"""Of 255: JPEG's traces at the rim of a black border stay below, and dark retina above."""


def write_translated_source(
    settings: TranslationSettings,
    annotation: str | None,
    out: Path,
    device: torch.device,
    continue_run: bool = False,
) -> str:
    """Translate the source photographs into the target's style; their masks stay as they are.

    Writes `images/ID.png` and `masks/ID.png` (0 background, 1 rim, 2 cup), so that `folder:OUT`
    is the translated source, beside the files of the run.

    Args:
        settings: which translation, of what, to what.
        annotation: whose masks, where the source has several; None for its default.
        out: a new or empty folder, or that of the run to continue.
        device: where to train, if anything is trained.
        continue_run: resume CyCADA's training from its last checkpoint.

    Returns:
        The address of the translated source.

    Raises:
        InputError: wrong data, settings, model or folder.
        WorkError: a loss is not finite.
    """
    source = require_masks(load_samples(settings.source, annotation), settings.source)
    target = without_masks(load_samples(settings.target))
    size, segmenter = _fixed_segmenter(settings)
    images = translated(
        _domain(source, size),
        _domain(target, size),
        segmenter,
        settings,
        RunFolder(out),
        device,
        continue_run,
    )
    for sample, image in zip(source, images, strict=True):
        mask, _ = read_mask(sample)
        for name, pixels in (("images", image), ("masks", mask)):
            (out / name).mkdir(exist_ok=True)
            Image.fromarray(pixels).save(out / name / f"{sample.id}.png")
    return f"folder:{out}"


def field(photograph: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """(H, W): all but the black border around what the camera sees.

    Black is at most `BLACK` in every channel, and connected to the edge of the photograph: a dark
    part of the retina is to be translated.
    """
    black = photograph.max(axis=2) <= BLACK
    inside: NDArray[np.bool_] = ~black | clear_border(black)
    return inside


class _PhotographSegmenter(nn.Module):
    """A trained network that takes photographs in [-1, 1]."""

    mean: Tensor
    std: Tensor

    def __init__(self, network: nn.Module, encoder: str) -> None:
        super().__init__()
        self.network = network
        mean, std = (torch.tensor(v)[:, None, None] for v in input_statistics(encoder))
        self.register_buffer("mean", mean)
        self.register_buffer("std", std)

    def forward(self, image: Tensor) -> Tensor:
        """(B, 3, H, W) in [-1, 1] to logits (B, C, H, W)."""
        logits: Tensor = self.network(((image + 1) / 2 - self.mean) / self.std)
        return logits


def _fixed_segmenter(settings: TranslationSettings) -> tuple[int, nn.Module | None]:
    """CyCADA's segmenter, and the size of the photographs that it was trained on."""
    if not isinstance(settings, CycadaSettings):
        return 0, None
    model = load_model(Path(settings.model).expanduser(), torch.device("cpu"))
    network = _PhotographSegmenter(model.segmenter, model.settings.network.encoder)
    return model.settings.data.size, network


def _domain(samples: list[Sample], size: int) -> Domain:
    """Of functions that worker processes can be sent."""
    read, working_size = partial(_read, samples), partial(_longest_side, size)
    return Domain.of(samples, read, working_size, field, in_memory=True)


def _read(samples: list[Sample], index: int) -> NDArray[np.uint8]:
    pixels: Tensor = read_sample(samples[index])["image"]  # checks the size of its mask, too
    return pixels.permute(1, 2, 0).numpy()


def _longest_side(size: int, height: int, width: int) -> tuple[int, int]:
    """As `data.transforms.fixed_transforms` resizes, which then pads."""
    scale = size / max(height, width)
    return round(height * scale), round(width * scale)
