"""Model selection without ground truth: the largest mean affinity on the target (Section IV-B).

Affinity rewards less than a good segmentation, so not every snapshot competes:
- a constant prediction has the perfect affinity 1: the classes that a snapshot predicts on the
  target must be about as many as those of the source labels;
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
COMPETES_FROM = 0.5
"""Share of the training."""


@dataclass(frozen=True)
class SelectionScore:
    """Of one snapshot."""

    mean_affinity: float
    effective_classes: float
    """exp of the entropy of the predicted class shares: 1 if constant, C if uniform."""
    collapsed: bool


def competes(score: SelectionScore, step: int, steps: int) -> bool:
    """Whether a snapshot at `step` of `steps` may be selected."""
    return step >= COMPETES_FROM * steps and not score.collapsed


def effective_classes(pixels_of_class: Tensor) -> float:
    """Exp of the entropy of a histogram of classes (C,), counts or shares: between 1 and C."""
    share = pixels_of_class.double() / pixels_of_class.sum()
    return math.exp(-float(torch.xlogy(share, share).sum()))


def has_collapsed(predicted: float, expected: float) -> bool:
    """Whether the classes beyond the first are less than half of the expected.

    Args:
        predicted: effective classes of the prediction on the target.
        expected: effective classes of the labels of the source.
    """
    return predicted - 1 < SMALLEST_SHARE_OF_CLASSES * (expected - 1)


@torch.no_grad()
def selection_score(
    segmenter: nn.Module,
    target_images: Iterable[Tensor],
    expected_classes: float,
    neighbors: int,
) -> SelectionScore:
    """Mean affinity over all target training images, in evaluation mode.

    Args:
        segmenter: images to logits.
        target_images: batches (B, 3, H, W) on its device, without random transforms.
        expected_classes: effective classes of the source labels.
        neighbors: 4 or 8.
    """
    segmenter.eval()
    affinities, histogram = [], torch.zeros(0, dtype=torch.int64)
    for image in target_images:
        prob = segmenter(image).float().softmax(dim=1)
        affinities.append(mean_affinity(prob, neighbors).cpu())
        counts = torch.bincount(prob.argmax(dim=1).flatten().cpu(), minlength=prob.shape[1])
        histogram = counts if histogram.numel() == 0 else histogram + counts
    predicted = effective_classes(histogram)
    return SelectionScore(
        mean_affinity=float(torch.cat(affinities).mean()),
        effective_classes=predicted,
        collapsed=has_collapsed(predicted, expected_classes),
    )
