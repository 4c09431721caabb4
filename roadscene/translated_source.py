"""A labelled set in the style of another camera, written in its own layout to train on."""

import shutil
from functools import partial
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn

from fundus_uda.engine.addresses import parse_address
from fundus_uda.engine.runlog import RunFolder
from fundus_uda.translation.images import Domain, whole_frame
from fundus_uda.translation.settings import CycadaSettings, TranslationSettings
from fundus_uda.translation.stage import translated
from roadscene.data import LAYOUTS, Frame, load_frames, read_image, require_labels, without_labels
from roadscene.images import Normalisation
from roadscene.model import load_model, logits_at, normalisation

Size = tuple[int, int]
"""(height, width)."""
SPLITS = {kind: layout.splits for kind, layout in LAYOUTS.items()}


def write_translated_source(
    settings: TranslationSettings, out: Path, device: torch.device, continue_run: bool = False
) -> str:
    """Translate the source images into the target's style; their label files are copied.

    Everything keeps its place below the folder of the dataset (images as PNG), so that
    `KIND:OUT` with the source's kind and split is the translated source, beside the files of
    the run.

    Args:
        settings: which translation, of what, to what.
        out: a new or empty folder, or that of the run to continue.
        device: where to train, if anything is trained.
        continue_run: resume CyCADA's training from its last checkpoint.

    Returns:
        The address of the translated source.

    Raises:
        InputError: wrong data, settings, model or folder.
        WorkError: a loss is not finite.
    """
    source = require_labels(load_frames(settings.source), settings.source)
    target = without_labels(load_frames(settings.target))
    (source_size, target_size), segmenter = _fixed_segmenter(settings)
    images = translated(
        _domain(source, source_size),
        _domain(target, target_size),
        segmenter,
        settings,
        RunFolder(out),
        device,
        continue_run,
    )
    _, root, _ = parse_address(settings.source, SPLITS)
    for frame, image in zip(source, images, strict=True):
        assert frame.label is not None
        image_file = (out / frame.image.relative_to(root)).with_suffix(".png")
        label_file = out / frame.label.relative_to(root)
        for file in (image_file, label_file):
            file.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(image_file)
        shutil.copyfile(frame.label, label_file)
    return translated_address(settings.source, out)


def translated_address(source: str, out: Path) -> str:
    """Of the translated source in `out`: its kind and split are those of the source."""
    kind, _, split = parse_address(source, SPLITS)
    return f"{kind}:{out}#{split}" if split else f"{kind}:{out}"


class _FrameSegmenter(nn.Module):
    """A trained network that takes images in [-1, 1]."""

    mean: Tensor
    std: Tensor

    def __init__(self, network: nn.Module, expected: Normalisation) -> None:
        super().__init__()
        self.network, self.reversed = network, expected.channels == "BGR"
        mean, std = (torch.tensor(v)[:, None, None] for v in (expected.mean, expected.std))
        self.register_buffer("mean", mean)
        self.register_buffer("std", std)

    def forward(self, image: Tensor) -> Tensor:
        """(B, 3, H, W) RGB in [-1, 1] to logits (B, C, H, W)."""
        pixels = 127.5 * (image.flip(1) if self.reversed else image) + 127.5
        height, width = image.shape[2:]
        return logits_at(self.network, (pixels - self.mean) / self.std, (height, width))


def _fixed_segmenter(
    settings: TranslationSettings,
) -> tuple[tuple[Size, Size], nn.Module | None]:
    """CyCADA's segmenter, and the sizes of source and target at which it was trained."""
    if not isinstance(settings, CycadaSettings):
        return ((0, 0), (0, 0)), None
    model = load_model(Path(settings.model).expanduser(), torch.device("cpu"))
    network = _FrameSegmenter(model.network, normalisation(model.settings))
    sizes = model.settings.data.source_size, model.settings.data.target_size
    return sizes, network


def _domain(frames: list[Frame], size: Size) -> Domain:
    """Of functions that worker processes can be sent."""
    read, working_size = partial(_read, frames), partial(_always, size)
    return Domain.of(frames, read, working_size, whole_frame, in_memory=False)


def _read(frames: list[Frame], index: int) -> NDArray[np.uint8]:
    return np.asarray(read_image(frames[index].image))


def _always(size: Size, _height: int, _width: int) -> Size:
    return size
