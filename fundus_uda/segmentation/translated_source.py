"""A labelled set in the style of another camera, written as a `folder:` dataset to train on."""

from functools import partial
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor, nn

from fundus_uda.data.datasets import load_samples
from fundus_uda.data.field import field_of_view
from fundus_uda.data.inspection import load_labelled, require_crops
from fundus_uda.data.photograph_files import read_sample
from fundus_uda.data.samples import Sample, without_masks
from fundus_uda.data.transforms import content_size
from fundus_uda.engine.run_folder import RunFolder
from fundus_uda.files import write_picture
from fundus_uda.masks.classes import Photograph
from fundus_uda.networks import input_statistics
from fundus_uda.paths import user_path
from fundus_uda.segmentation.model import load_model
from fundus_uda.translation.images import Domain
from fundus_uda.translation.settings import CycadaSettings, TranslationSettings
from fundus_uda.translation.stage import require_ready, translated
from fundus_uda.unfinished import locked, unfinished


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
        settings: settings of the translation, with its source and target.
        annotation: annotation whose masks are used, if the source has several; None for its
            default.
        out: new or empty folder, or that of the run to continue.
        device: where to train, if anything is trained.
        continue_run: go on with what was stopped; CyCADA's training, from its last checkpoint.

    Returns:
        Data URI of the translated source.

    Raises:
        InputError: wrong data, settings, model or folder.
        RunError: a loss is not finite.
    """
    folder = RunFolder(out)
    require_ready(settings, folder, continue_run)
    with locked(out):
        source = load_labelled(settings.source, annotation)
        target = require_crops(without_masks(load_samples(settings.target)), settings.target)
        size, segmenter = _fixed_segmenter(settings)
        images = translated(
            _domain(source, size),
            _domain(target, size),
            segmenter,
            settings,
            folder,
            device,
        )
        with unfinished(out):
            for sample, image in zip(source, images, strict=True):
                mask = read_sample(sample)["label"][0].numpy()
                for name, pixels in (("images", image), ("masks", mask)):
                    (out / name).mkdir(exist_ok=True)
                    write_picture(out / name / f"{sample.id}.png", Image.fromarray(pixels))
        folder.finish()
    return f"folder:{out}"


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
        """Map photographs (B, 3, H, W) in [-1, 1] to logits (B, C, H, W)."""
        logits: Tensor = self.network(((image + 1) / 2 - self.mean) / self.std)
        return logits


def _fixed_segmenter(settings: TranslationSettings) -> tuple[int, nn.Module | None]:
    """Load the image size and network of CyCADA's segmenter; 0 and None for other methods."""
    if not isinstance(settings, CycadaSettings):
        return 0, None
    model = load_model(user_path(settings.model), torch.device("cpu"))
    network = _PhotographSegmenter(model.network, model.settings.network.encoder)
    return model.settings.data.size, network


def _domain(samples: list[Sample], size: int) -> Domain:
    """Make the domain of samples from functions that can be sent to worker processes."""
    read, working_size = partial(_read, samples), partial(content_size, size=size)
    return Domain.of(samples, read, working_size, field_of_view, in_memory=True)


def _read(samples: list[Sample], index: int) -> Photograph:
    pixels: Tensor = read_sample(samples[index])["image"]  # checks the size of its mask, too
    return pixels.permute(1, 2, 0).numpy()
