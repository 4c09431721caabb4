"""Model selection without ground truth: the largest mean affinity on the target (Section IV-B).

Affinity rewards less than a good segmentation, so not every snapshot competes:
- a constant prediction has the perfect affinity 1, and one without the small classes nearly so:
  what a snapshot predicts on the target must resemble the labels that its network learnt from;
- a network that has only begun to learn predicts few and blurred regions: a snapshot must be from
  the second half of training.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from fundus_uda.affinity import mean_affinity

SMALLEST_SHARE_OF_CLASSES = 0.5
"""Of the expected effective classes beyond the first."""
LARGE_CLASS, SMALLEST_SHARE_OF_LARGE_CLASS = 0.02, 0.1
"""A class of so many of the labelled pixels must have this share of them in the prediction."""
COMPETES_FROM = 0.5
"""Share of the training."""


@dataclass(frozen=True)
class SelectionScore:
    """Of one snapshot."""

    mean_affinity: float
    effective_classes: float
    """exp of the entropy of the predicted class shares: 1 if constant, C if uniform."""
    collapsed: bool
    """See `has_collapsed`."""


def competes(score: SelectionScore, step: int, steps: int) -> bool:
    """Whether a snapshot at `step` of `steps` may be selected."""
    return step >= COMPETES_FROM * steps and not score.collapsed


def effective_classes(pixels_of_class: Tensor) -> float:
    """Exp of the entropy of a histogram of classes (C,), counts or shares: between 1 and C."""
    share = pixels_of_class.double() / pixels_of_class.sum()
    return math.exp(-float(torch.xlogy(share, share).sum()))


def has_collapsed(predicted: Tensor, expected: Tensor) -> bool:
    """Whether a prediction has far fewer classes than the labels, or lacks a large one.

    Far fewer: its effective classes beyond the first are less than half of theirs. Proportions
    may well differ between domains, so nothing closer is asked.

    Args:
        predicted: pixels of each class on the target (C,), counts or shares.
        expected: those of the labels.
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
    """Mean affinity over all target training images, in evaluation mode.

    Args:
        segmenter: images to logits.
        target_images: batches (B, 3, H, W) on its device, without random transforms.
        label_shares: of each class (C,) in the labels that the network learnt from.
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
