"""The stage: a domain of source images to the same images in the style of the target."""

from collections.abc import Iterator
from hashlib import sha256

import numpy as np
import torch
from numpy.typing import NDArray
from skimage.exposure import match_histograms
from torch import nn
from torch.nn import functional as F

from fundus_uda.engine.batches import Batch
from fundus_uda.engine.checkpoint import resume, save_checkpoint
from fundus_uda.engine.errors import InputError
from fundus_uda.engine.loop import advance
from fundus_uda.engine.randomness import derive_seed
from fundus_uda.engine.runlog import RunFolder
from fundus_uda.translation.crops import RandomCrops, at_working_size, to_unit
from fundus_uda.translation.fourier import exchange_amplitude
from fundus_uda.translation.generator import translate
from fundus_uda.translation.images import Domain, Field, Image, as_image
from fundus_uda.translation.settings import (
    CycadaSettings,
    FourierSettings,
    HistogramSettings,
    TranslationSettings,
)
from fundus_uda.translation.state import TranslationState, build_translation_state
from fundus_uda.translation.step import translation_step


def translated(
    source: Domain,
    target: Domain,
    segmenter: nn.Module | None,
    settings: TranslationSettings,
    folder: RunFolder,
    device: torch.device,
    continue_run: bool,
) -> Iterator[Image]:
    """The source images in the style of the target, in order, each at its own size.

    Args:
        source: the images to translate.
        target: the images whose style they take.
        segmenter: f_S, images (B, 3, H, W) in [-1, 1] to logits (B, C, H, W); for CyCADA alone.
        settings: which translation.
        folder: new or empty, or that of the run to continue.
        device: where to train.
        continue_run: of CyCADA alone, resume from the last checkpoint.

    Raises:
        InputError: wrong images, settings or folder, or nothing to continue.
        WorkError: a loss is not finite.
    """
    if isinstance(settings, CycadaSettings):
        assert segmenter is not None
        state = train_translation(source, target, segmenter, settings, folder, device, continue_run)
        return translate_by_generator(source, state)
    if continue_run:
        raise InputError("Expected --resume with cycada alone, which trains. Got: another method.")
    folder.begin(settings, torch.device("cpu"))
    return translate_by_pairs(source, target, settings, folder)


def translate_by_pairs(
    source: Domain, target: Domain, settings: FourierSettings | HistogramSettings, folder: RunFolder
) -> Iterator[Image]:
    """Each source image with the style of one target image, which its id and the seed choose.

    Needs no training. Writes `pairs.csv`, which says who gave the style.

    Args:
        source: the images to translate.
        target: the images whose style they take.
        settings: which translation.
        folder: already begun.

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
        if field.any() and style_field.any():  # else it is all border: no style to give or take
            image = as_image(_with_style(image, field, style, style_field, settings), image, field)
        yield image


def _with_style(
    image: Image,
    field: Field,
    style: Image,
    style_field: Field,
    settings: FourierSettings | HistogramSettings,
) -> NDArray[np.float64]:
    """The image in a style, by what both fields show; borders have no say."""
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
    continue_run: bool,
) -> TranslationState:
    """Train CyCADA's generators into a run folder.

    Args:
        source: the images to translate later.
        target: images of the style.
        segmenter: f_S; put on the device and frozen. Checkpoints keep its fingerprint.
        settings: of the run.
        folder: new or empty, or that of the run to continue.
        device: where to train.
        continue_run: resume from the last checkpoint; the result equals an unbroken run's.

    Returns:
        The state after the last step.

    Raises:
        InputError: wrong images, settings or folder.
        WorkError: a loss is not finite.
    """
    if continue_run:
        folder.require_checkpoint()
    data = {
        "source": source.fingerprint,
        "target": target.fingerprint,
        "model": _weights_fingerprint(segmenter),
    }
    state = build_translation_state(settings, device)
    if continue_run:
        resume(folder.last, state, settings, data)
        folder.rewind(state.step)
    segmenter = segmenter.to(device).eval().requires_grad_(False)
    sources, targets = (RandomCrops(domain, settings.crop) for domain in (source, target))

    def update(source_batch: Batch | None, target_batch: Batch | None) -> dict[str, float]:
        assert source_batch is not None
        assert target_batch is not None
        return translation_step(state, source_batch, target_batch, segmenter, settings)

    def snapshot() -> None:
        save_checkpoint(folder.last, state, settings, data, classes=0)

    if not continue_run:
        folder.begin(settings, device)  # only now that the images in memory were readable
        snapshot()  # resumable from the start
    advance(state, sources, targets, settings, folder, "cycada", update, snapshot)
    return state


def translate_by_generator(source: Domain, state: TranslationState) -> Iterator[Image]:
    """Each source image by G_ST.

    The generator works at the model's size. What it changed there is brought to the image's own
    size and added, so that finer detail stays the source's.

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
