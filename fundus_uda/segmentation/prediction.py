"""Prediction of disc and cup in a photograph around the disc, and its stability under flips."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from fundus_uda.affinity import affinity_map
from fundus_uda.data.photograph_files import read_photograph
from fundus_uda.data.samples import Sample
from fundus_uda.masks.classes import Mask, Photograph
from fundus_uda.masks.dice import dice_cup_disc
from fundus_uda.masks.postprocess import fill_cup_hull, remove_small_components
from fundus_uda.segmentation.model import Model


@dataclass(frozen=True)
class Prediction:
    """Prediction for one photograph."""

    mask: Mask
    """Mask (H, W) in {0, 1, 2}, at the photograph's own size."""
    affinity: NDArray[np.float32]
    """Affinity map (h, w) in [0, 1], no larger than the network's input: near 1 inside regions, low
    where the network is unsure."""
    flip_dice_cup: float
    flip_dice_disc: float
    """Mean Dice between the prediction and those of the photograph mirrored and upside down, turned
    back."""


def outline(
    model: Model,
    photograph: Photograph,
    directions: Literal["all", "diagonal"] = "all",
    views: Tensor | None = None,
) -> Prediction:
    """Outline disc and cup in a photograph around the disc.

    Args:
        model: trained model, or one in training.
        photograph: (H, W, 3) uint8 RGB.
        directions: neighbours of the affinity map (see `affinity.affinity_map`).
        views: `model.views(photograph[None], flips=True)`, where they are known.
    """
    if views is None:
        views = model.views(photograph[None], flips=True)
    probabilities = model.probabilities(views)
    as_is, *turned = (most_probable(view[0]) for view in views)
    dice = np.mean([dice_cup_disc(flip, as_is) for flip in turned], axis=0)
    height, width = photograph.shape[:2]
    return Prediction(
        mask=mask_of(probabilities, (height, width), model.settings.data.fill_cup_hull),
        affinity=affinity_map(probabilities, directions=directions)[0].cpu().numpy(),
        flip_dice_cup=float(dice[0]),
        flip_dice_disc=float(dice[1]),
    )


def mask_of(probabilities: Tensor, size: tuple[int, int], filled: bool) -> Mask:
    """Make a photograph's mask from class probabilities at network size.

    Args:
        probabilities: (1, 3, h, w) of the photograph, without the padding around it.
        size: height and width of the photograph.
        filled: whether the cup is filled up to its convex hull.

    Returns:
        (H, W) uint8 in {0, 1, 2}.
    """
    whole = F.interpolate(probabilities, size, mode="bilinear", align_corners=False)
    mask = most_probable(whole[0])
    return fill_cup_hull(remove_small_components(mask)) if filled else mask


def predictions(
    model: Model, samples: list[Sample]
) -> Iterator[tuple[Sample, Photograph, Prediction]]:
    """Outline the samples of a dataset, one at a time.

    Raises:
        InputError: an unreadable photograph.
    """
    for sample in samples:
        photograph = read_photograph(sample.image, sample.stereo).permute(1, 2, 0).numpy()
        yield sample, photograph, outline(model, photograph)


def most_probable(probabilities: Tensor) -> Mask:
    """Pick the class of each pixel: probabilities (3, H, W) to classes (H, W)."""
    # On a CPU, argmax over the first axis takes eight times as long.
    classes: Mask = probabilities.max(dim=0).indices.to(torch.uint8).cpu().numpy()
    return classes
