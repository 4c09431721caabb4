"""A trained network and the settings that it was trained with."""

from pathlib import Path
from typing import NamedTuple

import torch
from pydantic import ValidationError
from torch import Tensor, nn

from fundus_uda.data.masks import CLASSES
from fundus_uda.engine.checkpoint import load_checkpoint
from fundus_uda.engine.errors import InputError
from fundus_uda.networks import deeplab_v3plus
from fundus_uda.settings import FundusSettings


class Model(NamedTuple):
    """A network in evaluation mode, and what is known of its training."""

    segmenter: nn.Module
    settings: FundusSettings
    step: int
    """Number of updates."""
    label_shares: Tensor
    """(3,) of background, rim and cup in the labels that it learnt from."""


def load_model(path: Path, device: torch.device) -> Model:
    """The network of a run folder (its last checkpoint) or of a checkpoint file.

    Raises:
        InputError: no such file, not a checkpoint, or one of another kind of network.
    """
    file = path / "last.pt" if path.is_dir() else path
    if path.is_dir() and not file.is_file():
        raise InputError(
            f"Expected a run folder with last.pt at {path}. Got: none. Has its training started?"
        )
    checkpoint = load_checkpoint(file)
    if checkpoint.classes != len(CLASSES):
        raise InputError(
            f"Expected a model of {len(CLASSES)} classes ({', '.join(CLASSES)}) at {file}. "
            f"Got: {checkpoint.classes} classes."
        )
    try:
        settings = FundusSettings.model_validate(checkpoint.settings)
    except ValidationError as error:
        raise InputError(
            f"Expected settings of a fundus model of this version in {file}. Got: "
            f"{error.error_count()} that it does not know. Use the version that trained it."
        ) from None
    network = deeplab_v3plus(
        settings.network.encoder, "random", len(CLASSES), settings.network.output_stride
    )
    try:
        network.load_state_dict(checkpoint.weights)
    except RuntimeError as error:
        raise InputError(
            f"Expected weights of DeepLabv3+ with {settings.network.encoder} in {file}. "
            f"Got: {str(error).splitlines()[1].strip()}"
        ) from None
    segmenter = network.to(device).eval()
    return Model(segmenter, settings, checkpoint.step, checkpoint.label_shares)
