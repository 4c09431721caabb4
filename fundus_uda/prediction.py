"""What the network sees in a photograph around the disc, and how firmly."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from fundus_uda.affinity import affinity_map
from fundus_uda.anatomy import with_convex_cup, without_specks
from fundus_uda.data.samples import Sample
from fundus_uda.data.transforms import (
    content_box,
    fixed_transforms,
    plain_transforms,
    read_photograph,
)
from fundus_uda.metrics import dice_cup_disc
from fundus_uda.networks import input_statistics
from fundus_uda.settings import FundusSettings

Photograph = NDArray[np.uint8]
"""(H, W, 3) RGB."""


@dataclass(frozen=True)
class Prediction:
    """The network's reading of one photograph."""

    mask: NDArray[np.uint8]
    """(H, W) in {0, 1, 2}, at the photograph's own size."""
    affinity: NDArray[np.float32]
    """(h, w) in [0, 1], no larger than the network's input: near 1 inside regions, low where the
    network is unsure."""
    flip_dice_cup: float
    flip_dice_disc: float
    """Mean Dice between the prediction and those of the photograph mirrored and upside down,
    turned back."""


def class_probabilities(
    segmenter: nn.Module,
    settings: FundusSettings,
    photographs: NDArray[np.uint8],
    device: torch.device,
) -> Tensor:
    """What the network says of photographs of one size, at that size; draws no random numbers.

    Args:
        segmenter: of `load_model` or in training.
        settings: its settings; with `data.flips`, the mean over three looks.
        photographs: (B, H, W, 3) uint8 RGB, around the disc.
        device: of the segmenter.

    Returns:
        (B, 3, H, W) float32 on the device: probabilities of background, rim and cup.
    """
    looks = _looks(segmenter, settings, photographs, device, flips=settings.data.flips)
    height, width = photographs.shape[1:3]
    return F.interpolate(looks.mean(0), (height, width), mode="bilinear", align_corners=False)


def outline(
    segmenter: nn.Module,
    settings: FundusSettings,
    photograph: Photograph,
    device: torch.device,
    directions: Literal["all", "diagonal"] = "all",
) -> Prediction:
    """Disc and cup of a photograph around the disc, and how firmly the network sees them.

    The arguments are those of `class_probabilities`, for one photograph (H, W, 3), and the
    `directions` of `affinity_map`.
    """
    looks = _looks(segmenter, settings, photograph[None], device, flips=True)
    probabilities = looks.mean(0) if settings.data.flips else looks[0]
    as_is, *turned = (most_probable(look[0]) for look in looks)
    dice = np.mean([dice_cup_disc(flip, as_is) for flip in turned], axis=0)
    size = photograph.shape[:2]
    whole = F.interpolate(probabilities, size, mode="bilinear", align_corners=False)
    mask = most_probable(whole[0])
    if settings.data.convex_cup:
        mask = with_convex_cup(without_specks(mask))
    return Prediction(
        mask=mask,
        affinity=affinity_map(probabilities, directions=directions)[0].cpu().numpy(),
        flip_dice_cup=float(dice[0]),
        flip_dice_disc=float(dice[1]),
    )


@torch.no_grad()
def _looks(
    segmenter: nn.Module,
    settings: FundusSettings,
    photographs: NDArray[np.uint8],
    device: torch.device,
    flips: bool,
) -> Tensor:
    """(1 or 3, B, 3, h, w) probabilities at network size, of photographs (B, H, W, 3).

    As they are and, with flips, of them mirrored and upside down, turned back.
    """
    fixed = fixed_transforms(settings.data.size)
    plain = plain_transforms(*input_statistics(settings.network.encoder))
    pixels = torch.tensor(photographs).permute(0, 3, 1, 2)  # a copy: arrays may be read-only
    images = torch.stack([plain(fixed({"image": image}))["image"] for image in pixels]).to(device)
    segmenter = segmenter.eval()
    looks = [segmenter(images).float().softmax(dim=1)]
    for axis in (3, 2) if flips else ():
        looks.append(segmenter(images.flip(axis)).float().softmax(dim=1).flip(axis))
    height, width = photographs.shape[1:3]
    return torch.stack(looks)[..., *content_box(height, width, settings.data.size)]


def predictions(
    segmenter: nn.Module, settings: FundusSettings, samples: list[Sample], device: torch.device
) -> Iterator[tuple[Sample, Photograph, Prediction]]:
    """The network's reading of the samples of a dataset, one at a time.

    Raises:
        InputError: an unreadable photograph.
    """
    for sample in samples:
        photograph = read_photograph(sample.image, sample.stereo).permute(1, 2, 0).numpy()
        yield sample, photograph, outline(segmenter, settings, photograph, device)


def most_probable(probabilities: Tensor) -> NDArray[np.uint8]:
    """(3, H, W) probabilities to classes (H, W)."""
    classes: NDArray[np.uint8] = probabilities.argmax(dim=0).to(torch.uint8).cpu().numpy()
    return classes
