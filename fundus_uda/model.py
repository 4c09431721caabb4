"""A trained network and the settings that it was trained with."""

from pathlib import Path
from typing import NamedTuple

import torch
from pydantic import ValidationError
from torch import nn

from fundus_uda.data.masks import CLASSES
from fundus_uda.engine.checkpoint import load_checkpoint
from fundus_uda.engine.errors import InputError
from fundus_uda.networks import deeplab_v3plus
from fundus_uda.settings import FundusSettings


class Model(NamedTuple):
    """A network in evaluation mode, the settings and the number of updates it was trained with."""

    segmenter: nn.Module
    settings: FundusSettings
    step: int


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
    return Model(network.to(device).eval(), settings, checkpoint.step)
