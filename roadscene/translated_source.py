"""A labelled dataset in the style of another camera, written in its own layout to train on."""

import shutil
from functools import partial
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn

from fundus_uda.config.data_uri import parse_data_uri
from fundus_uda.engine.run_folder import RunFolder
from fundus_uda.files import replacing, write_picture
from fundus_uda.paths import user_path
from fundus_uda.translation.images import Domain, whole_frame
from fundus_uda.translation.settings import CycadaSettings, TranslationSettings
from fundus_uda.translation.stage import require_ready, translated
from fundus_uda.unfinished import locked, unfinished
from roadscene.data import LAYOUTS, Frame, load_frames, read_image, require_labels, without_labels
from roadscene.images import Normalisation
from roadscene.model import load_model, logits_at, normalisation

Size = tuple[int, int]
"""Size (height, width) in pixels."""
SPLITS = {kind: layout.splits for kind, layout in LAYOUTS.items()}


def write_translated_source(
    settings: TranslationSettings, out: Path, device: torch.device, continue_run: bool = False
) -> str:
    """Translate the source images into the target's style, and copy their label files.

    Every file keeps its place below the folder of the dataset (images as PNG), so that `KIND:OUT`
    with the source's kind and split is the translated source. The files of the run are beside it.

    Args:
        settings: settings of the translation, with its source and target.
        out: new or empty folder, or that of the run to continue.
        device: device to train on, if anything is trained.
        continue_run: whether to go on with what was stopped; CyCADA's training, from its last
            checkpoint.

    Returns:
        Data URI of the translated source.

    Raises:
        InputError: wrong data, settings, model or folder.
        RunError: a loss is not finite.
    """
    folder = RunFolder(out)
    require_ready(settings, folder, continue_run)
    with locked(out):
        source = require_labels(load_frames(settings.source), settings.source)
        target = without_labels(load_frames(settings.target))
        (source_size, target_size), segmenter = _fixed_segmenter(settings)
        images = translated(
            _domain(source, source_size),
            _domain(target, target_size),
            segmenter,
            settings,
            folder,
            device,
        )
        _, root, _ = parse_data_uri(settings.source, SPLITS)
        with unfinished(out):
            for frame, image in zip(source, images, strict=True):
                assert frame.label is not None
                image_file = (out / frame.image.relative_to(root)).with_suffix(".png")
                label_file = out / frame.label.relative_to(root)
                for file in (image_file, label_file):
                    file.parent.mkdir(parents=True, exist_ok=True)
                write_picture(image_file, Image.fromarray(image))
                with replacing(label_file) as temporary:
                    shutil.copyfile(frame.label, temporary)
        folder.finish()
    return translated_uri(settings.source, out)


def translated_uri(source: str, out: Path) -> str:
    """Return the data URI of the translated source in `out`, of the source's kind and split."""
    kind, _, split = parse_data_uri(source, SPLITS)
    return f"{kind}:{out}#{split}" if split else f"{kind}:{out}"


class _FrameSegmenter(nn.Module):
    """Trained network that takes images in [-1, 1]."""

    mean: Tensor
    std: Tensor

    def __init__(self, network: nn.Module, expected: Normalisation) -> None:
        super().__init__()
        self.network, self.reversed = network, expected.channels == "BGR"
        mean, std = (torch.tensor(v)[:, None, None] for v in (expected.mean, expected.std))
        self.register_buffer("mean", mean)
        self.register_buffer("std", std)

    def forward(self, image: Tensor) -> Tensor:
        """Compute logits (B, C, H, W) of RGB images (B, 3, H, W) in [-1, 1]."""
        pixels = 127.5 * (image.flip(1) if self.reversed else image) + 127.5
        height, width = image.shape[2:]
        return logits_at(self.network, (pixels - self.mean) / self.std, (height, width))


def _fixed_segmenter(
    settings: TranslationSettings,
) -> tuple[tuple[Size, Size], nn.Module | None]:
    """Return the sizes of source and target at which CyCADA's segmenter was trained, and it."""
    if not isinstance(settings, CycadaSettings):
        return ((0, 0), (0, 0)), None
    model = load_model(user_path(settings.model), torch.device("cpu"))
    network = _FrameSegmenter(model.network, normalisation(model.settings))
    sizes = model.settings.data.source_size, model.settings.data.target_size
    return sizes, network


def _domain(frames: list[Frame], size: Size) -> Domain:
    """Build a domain of functions that can be sent to worker processes."""
    read, working_size = partial(_read, frames), partial(_always, size)
    return Domain.of(frames, read, working_size, whole_frame, in_memory=False)


def _read(frames: list[Frame], index: int) -> NDArray[np.uint8]:
    return np.asarray(read_image(frames[index].image))


def _always(size: Size, _height: int, _width: int) -> Size:
    return size
