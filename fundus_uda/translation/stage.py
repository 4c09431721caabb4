"""The translation stage: source images to the same images in the style of the target."""

from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from hashlib import sha256

import numpy as np
import torch
from numpy.typing import NDArray
from skimage.exposure import match_histograms
from torch import nn
from torch.nn import functional as F

from fundus_uda.engine.batches import Batch
from fundus_uda.engine.checkpoint import resume, save_checkpoint
from fundus_uda.engine.loop import train_loop
from fundus_uda.engine.randomness import derive_seed
from fundus_uda.engine.run_folder import RunFolder
from fundus_uda.errors import InputError
from fundus_uda.translation.crops import RandomCrops, at_working_size, to_unit
from fundus_uda.translation.fourier import exchange_amplitude
from fundus_uda.translation.generator import translate
from fundus_uda.translation.images import Domain, Field, Image, as_image, scaled_to_width
from fundus_uda.translation.settings import (
    CycadaSettings,
    FourierSettings,
    HistogramSettings,
    TranslationSettings,
)
from fundus_uda.translation.state import TranslationState, build_translation_state
from fundus_uda.translation.step import translation_step
from fundus_uda.unfinished import is_unfinished


def require_ready(settings: TranslationSettings, folder: RunFolder, continue_run: bool) -> None:
    """Check that a translation can be written into a folder, before anything is read.

    A method that trains nothing writes all of its images anew where it goes on.

    Raises:
        InputError: the folder is occupied, or there is nothing to continue.
    """
    if not continue_run or isinstance(settings, CycadaSettings) or not is_unfinished(folder.path):
        folder.require_ready(continue_run)
    elif folder.settings() != settings.model_dump(mode="json"):
        raise InputError(
            f"Expected the settings with which {folder.path / 'config.yaml'} was begun, to go on. "
            f"Got: others. Give those, or choose another --out."
        )


def translated(
    source: Domain,
    target: Domain,
    segmenter: nn.Module | None,
    settings: TranslationSettings,
    folder: RunFolder,
    device: torch.device,
) -> Iterator[Image]:
    """Return the source images in the style of the target, in order, each at its own size.

    Args:
        source: images to translate.
        target: images whose style they take.
        segmenter: f_S, a network from images (B, 3, H, W) in [-1, 1] to logits (B, C, H, W); for
            CyCADA alone.
        settings: settings of the translation.
        folder: folder that is ready (see `RunFolder.require_ready`).
        device: device to train on.

    Raises:
        InputError: wrong images or settings, or a run with others in the folder.
        RunError: a loss is not finite.
    """
    if isinstance(settings, CycadaSettings):
        assert segmenter is not None
        if settings.width is not None:
            scaled = partial(scaled_to_width, settings.width)
            source, target = (replace(domain, working_size=scaled) for domain in (source, target))
        state = train_translation(source, target, segmenter, settings, folder, device)
        return translate_by_generator(source, state)
    if is_unfinished(folder.path):
        (folder.path / "pairs.csv").unlink(missing_ok=True)
    else:
        folder.begin(settings, torch.device("cpu"))
    return translate_by_pairs(source, target, settings, folder)


def translate_by_pairs(
    source: Domain, target: Domain, settings: FourierSettings | HistogramSettings, folder: RunFolder
) -> Iterator[Image]:
    """Give each source image the style of one target image, chosen by its id and the seed.

    No training is needed. `pairs.csv` lists the target image that gave each style.

    Args:
        source: images to translate.
        target: images whose style they take.
        settings: settings of the translation.
        folder: run folder that has begun.

    Yields:
        The translated source images in order, each at its own size.

    Raises:
        InputError: an unreadable image.
    """
    for index, name in enumerate(source.ids):
        partner = derive_seed(settings.seed, "partner", name) % len(target)
        folder.log("pairs", {"source": name, "target": target.ids[partner]})
        image, style = source.read(index), target.read(partner)
        field, style_field = source.field(image), target.field(style)
        if field.any() and style_field.any():  # an image that is all border has no style
            image = as_image(_with_style(image, field, style, style_field, settings), image, field)
        yield image


def _with_style(
    image: Image,
    field: Field,
    style: Image,
    style_field: Field,
    settings: FourierSettings | HistogramSettings,
) -> NDArray[np.float64]:
    """Restyle an image by the pixels inside both fields; borders have no effect."""
    if isinstance(settings, FourierSettings):
        # A border would add frequencies of its own. Each image's mean colour adds none.
        filled, style_filled = (
            np.where(inside[..., None], values, values[inside].mean(axis=0))
            for values, inside in ((image, field), (style, style_field))
        )
        return exchange_amplitude(filled, style_filled, settings.beta)
    matched = image.astype(np.float64)
    matched[field] = match_histograms(image[field], style[style_field], channel_axis=-1)
    return matched


def train_translation(
    source: Domain,
    target: Domain,
    segmenter: nn.Module,
    settings: CycadaSettings,
    folder: RunFolder,
    device: torch.device,
) -> TranslationState:
    """Train CyCADA's generators into a run folder.

    Args:
        source: images to translate later.
        target: images whose style they take.
        segmenter: f_S; moved to the device and frozen. Checkpoints keep its fingerprint.
        settings: settings of the run.
        folder: folder that is ready (see `RunFolder.require_ready`). A run that has begun resumes
            from its last checkpoint; the result equals an unbroken run's.
        device: device to train on.

    Returns:
        The state after the last step.

    Raises:
        InputError: wrong images, settings or folder.
        RunError: a loss is not finite.
    """
    data = {
        "source": source.fingerprint,
        "target": target.fingerprint,
        "model": _weights_fingerprint(segmenter),
    }
    state = build_translation_state(settings, device)
    if folder.is_begun:
        resume(folder.last, state, settings, data)
        folder.note_other_environment(device)
        folder.write_settings(settings)
        folder.rewind(state.step)
    segmenter = segmenter.to(device).eval().requires_grad_(False)
    sources, targets = (RandomCrops(domain, settings.crop) for domain in (source, target))

    def update(source_batch: Batch | None, target_batch: Batch | None) -> dict[str, float]:
        assert source_batch is not None
        assert target_batch is not None
        return translation_step(state, source_batch, target_batch, segmenter, settings)

    def snapshot() -> bool:
        save_checkpoint(folder.last, state, settings, data, classes=0, keeps_previous=True)
        return False

    def save() -> bool:
        snapshot()
        return True

    if not folder.is_begun:
        folder.begin(settings, device)  # only once the images in memory have been read
        snapshot()  # resumable from the start
    train_loop(state, sources, targets, settings, folder, "cycada", update, snapshot, save)
    return state


def translate_by_generator(source: Domain, state: TranslationState) -> Iterator[Image]:
    """Translate each source image by G_ST.

    The generator works at the model's size. Its change is resized to the image's own size and
    added to the image, so that finer detail stays the source's.

    Yields:
        The translated source images in order, each at its own size.
    """
    for index in range(len(source)):
        image = source.read(index)
        x_S = to_unit(at_working_size(image, source))[None].to(state.device)
        with torch.inference_mode():
            change = 127.5 * (translate(state.generators["ST"], x_S).clamp(-1, 1) - x_S)
            size = image.shape[:2]
            if change.shape[2:] != size:
                change = F.interpolate(change, size=size, mode="bilinear", align_corners=False)
        values = image + change[0].permute(1, 2, 0).cpu().numpy()
        yield as_image(values, image, source.field(image))


def _weights_fingerprint(network: nn.Module) -> str:
    digest = sha256()
    for tensor in network.state_dict().values():
        digest.update(tensor.cpu().numpy().tobytes())
    return digest.hexdigest()
