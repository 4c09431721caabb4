"""Model selection without ground truth: the largest mean affinity on the target (Section IV-B).

High affinity does not imply a good segmentation, so not every snapshot competes:

- A constant prediction has the perfect affinity 1, and one without the small classes comes close.
  The classes predicted on the target must resemble those of the labels that the network learnt
  from.
- A network that has only begun to learn predicts few and blurred regions. A snapshot must be from
  the second half of training.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from fundus_uda.affinity import mean_affinity

SMALLEST_SHARE_OF_CLASSES = 0.5
"""Minimum share of the expected effective classes beyond the first."""
LARGE_CLASS, SMALLEST_SHARE_OF_LARGE_CLASS = 0.02, 0.1
"""Share of the labelled pixels that makes a class large, and the minimum share of it that the
prediction must have."""
COMPETES_FROM = 0.5
"""Share of the steps from which snapshots compete."""


@dataclass(frozen=True)
class SelectionScore:
    """Score of one snapshot."""

    mean_affinity: float
    effective_classes: float
    """Exponential of the entropy of the predicted class shares: 1 if constant, C if uniform."""
    collapsed: bool
    """Whether the prediction has collapsed (see `has_collapsed`)."""


def competes(score: SelectionScore, step: int, steps: int) -> bool:
    """Return whether a snapshot at `step` of `steps` may be selected."""
    return step >= COMPETES_FROM * steps and not score.collapsed


def effective_classes(pixels_of_class: Tensor) -> float:
    """Compute exp of the entropy of a class histogram (C,), counts or shares: from 1 to C."""
    share = pixels_of_class.double() / pixels_of_class.sum()
    return math.exp(-float(torch.xlogy(share, share).sum()))


def has_collapsed(predicted: Tensor, expected: Tensor) -> bool:
    """Return whether a prediction has far fewer classes than the labels or lacks a large one.

    Far fewer means that its effective classes beyond the first are less than half of theirs.
    Proportions may well differ between domains, so no closer match is required.

    Args:
        predicted: pixels of each class on the target (C,), counts or shares.
        expected: pixels of each class in the labels (C,), counts or shares.
    """
    variety, expected_variety = effective_classes(predicted) - 1, effective_classes(expected) - 1
    shares, expected_shares = predicted / predicted.sum(), expected / expected.sum()
    lacking = shares < SMALLEST_SHARE_OF_LARGE_CLASS * expected_shares
    return variety < SMALLEST_SHARE_OF_CLASSES * expected_variety or bool(
        (lacking & (expected_shares >= LARGE_CLASS)).any()
    )


@torch.no_grad()
def selection_score(
    segmenter: nn.Module,
    target_images: Iterable[Tensor],
    label_shares: Tensor,
    neighbors: int,
) -> SelectionScore:
    """Compute the mean affinity over all target training images, in evaluation mode.

    Args:
        segmenter: network from images to logits.
        target_images: batches (B, 3, H, W) on its device, without random transforms.
        label_shares: share of each class (C,) in the labels that the network learnt from.
        neighbors: 4 or 8.
    """
    segmenter.eval()
    affinities, histogram = [], torch.zeros(0, dtype=torch.int64)
    for image in target_images:
        prob = segmenter(image).float().softmax(dim=1)
        affinities.append(mean_affinity(prob, neighbors).cpu())
        counts = torch.bincount(prob.argmax(dim=1).flatten().cpu(), minlength=prob.shape[1])
        histogram = counts if histogram.numel() == 0 else histogram + counts
    return SelectionScore(
        mean_affinity=float(torch.cat(affinities).mean()),
        effective_classes=effective_classes(histogram),
        collapsed=has_collapsed(histogram, label_shares),
    )
