"""The model: a trained network, the settings of its run and its device, as one object."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import ValidationError
from torch import Tensor, nn

from fundus_uda.data.transforms import content_box, eval_transforms, fixed_transforms
from fundus_uda.engine.checkpoint import Checkpoint, load_checkpoint
from fundus_uda.engine.device import pick_device
from fundus_uda.engine.model_path import checkpoint_file
from fundus_uda.engine.settings import CheckpointName, DeepLabV3PlusSettings
from fundus_uda.engine.state import memory_format
from fundus_uda.errors import InputError
from fundus_uda.masks.classes import CLASSES
from fundus_uda.networks import deeplab_v3plus, input_statistics
from fundus_uda.segmentation.exported import read_onnx, read_safetensors
from fundus_uda.segmentation.settings import FundusSettings


@dataclass(frozen=True)
class Model:
    """A network, with what is known of its training.

    Args:
        network: module from images (B, 3, H, W) to logits (B, 3, H, W).
        settings: settings of its run.
        device: device that the network is on.
        step: number of training steps behind it.
        label_shares: (3,) shares of background, rim and cup in the labels that it learnt from.
    """

    network: nn.Module
    settings: FundusSettings
    device: torch.device
    step: int
    label_shares: Tensor

    @torch.no_grad()
    def views(self, photographs: NDArray[np.uint8], flips: bool) -> Tensor:
        """Compute class probabilities at network size, for each view of test-time augmentation.

        Args:
            photographs: (B, H, W, 3) uint8 RGB around the disc, all of one size.
            flips: add the views of the photographs mirrored and upside down, turned back.

        Returns:
            (1 or 3, B, 3, h, w) float32 on the device.
        """
        settings = self.settings
        fixed = fixed_transforms(settings.data.size)
        plain = eval_transforms(*input_statistics(settings.network.encoder))
        pixels = torch.tensor(photographs).permute(0, 3, 1, 2)  # a copy: arrays may be read-only
        images = torch.stack([plain(fixed({"image": image}))["image"] for image in pixels])
        images = images.to(self.device, memory_format=memory_format(settings))
        views = views_of(self.network.eval(), images, flips)
        height, width = photographs.shape[1:3]
        return views[..., *content_box(height, width, settings.data.size)]

    def probabilities(self, views: Tensor) -> Tensor:
        """Combine `views`, (V, B, 3, h, w), to the prediction (B, 3, h, w).

        With `data.tta_flips`, it is the mean over the views, else the first of them.
        """
        return views.mean(0) if self.settings.data.tta_flips else views[0]


def views_of(network: Callable[[Tensor], Tensor], images: Tensor, flips: bool) -> Tensor:
    """Compute class probabilities of each view of test-time augmentation, in one batch.

    Args:
        network: network in evaluation mode, from images (B, 3, h, w) to logits.
        images: (B, 3, h, w) float32, normalised.
        flips: see `Model.views`.

    Returns:
        (1 or 3, B, 3, h, w) float32.
    """
    axes: tuple[tuple[int, ...], ...] = ((), (3,), (2,)) if flips else ((),)
    seen = torch.cat([images.flip(axis) for axis in axes])
    views = network(seen).float().softmax(dim=1).chunk(len(axes))
    return torch.stack([view.flip(axis) for view, axis in zip(views, axes, strict=True)])


def build_network(settings: DeepLabV3PlusSettings, weights: str) -> nn.Module:
    """Build the network of a run, with weights of the given origin.

    Raises:
        InputError: see `deeplab_v3plus`.
    """
    stride, rates = settings.output_stride, settings.atrous_rates
    return deeplab_v3plus(settings.encoder, weights, len(CLASSES), stride, rates)


def load_model(
    path: Path | str, device: torch.device | str = "auto", which: CheckpointName = "last"
) -> Model:
    """Load the network of a run folder, of a checkpoint file or of an exported file.

    Args:
        path: run folder, folder that `adapt` wrote, checkpoint file, or file that `export` wrote
            (.safetensors or .onnx).
        device: where to put it; for a text see `pick_device`.
        which: checkpoint of a run folder.

    Raises:
        InputError: no such file, not a checkpoint, or one of another kind of network.
    """
    file, device = checkpoint_file(Path(path), which), pick_device(device)
    if file.suffix == ".onnx":
        exported = read_onnx(file)
        about, network = exported.description.as_checkpoint({}), exported.network
        return Model(network, _settings(about, file), device, about.step, about.label_shares)
    checkpoint = read_network(file)
    settings = _settings(checkpoint, file)
    try:
        network = build_network(settings.network, "random")
    except InputError as error:
        raise InputError(f"Expected a network that can be built in {file}. {error}") from None
    try:
        network.load_state_dict(checkpoint.weights)
    except RuntimeError as error:
        raise InputError(
            f"Expected weights of DeepLabv3+ with {settings.network.encoder} in {file}. "
            f"Got: {str(error).splitlines()[1].strip()}"
        ) from None
    network = network.to(device).to(memory_format=memory_format(settings)).eval()
    return Model(network, settings, device, checkpoint.step, checkpoint.label_shares)


def read_network(file: Path) -> Checkpoint:
    """Read the checkpoint of a run, or a network that was exported as safetensors.

    Raises:
        InputError: no such file, or neither.
    """
    safe = file.suffix == ".safetensors"
    return read_safetensors(file) if safe else load_checkpoint(file)


def _settings(checkpoint: Checkpoint, file: Path) -> FundusSettings:
    """Read the settings of a checkpoint, if it is one of this application.

    Raises:
        InputError: other classes, or other settings.
    """
    if checkpoint.classes != len(CLASSES):
        raise InputError(
            f"Expected a model of {len(CLASSES)} classes ({', '.join(CLASSES)}) at {file}. "
            f"Got: {checkpoint.classes} classes."
        )
    try:
        return FundusSettings.model_validate(checkpoint.settings)
    except ValidationError as error:
        raise InputError(
            f"Expected settings of a fundus model of this version in {file}. Got: "
            f"{error.error_count()} that it does not know. Use the version that trained it."
        ) from None
