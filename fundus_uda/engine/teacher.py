"""The teacher of self-training: its pseudo-labels and its update."""

from collections.abc import Iterable

import torch
from torch import Tensor, nn

from fundus_uda.engine.settings import TeacherSettings

BINS = 2**16
"""Number of confidences that thresholds over a whole domain are told apart by."""


@torch.no_grad()
def pseudo_labels(
    prob: Tensor,
    settings: TeacherSettings,
    ignore_label: int,
    class_thresholds: Tensor | None = None,
) -> Tensor:
    r"""Return the teacher's classes where it is confident, `ignore_label` elsewhere.

    A pixel's confidence is the probability of its most probable class.

    - With thresholds :math:`k_c` over the whole domain, the class of a pixel is
      :math:`\arg\max_c p_c / k_c`, if that ratio is at least 1 (class-balanced self-training, Zou
      et al., ECCV 2018, Eq. 6).
    - With `keep_fraction` alone, each class keeps the most confident of its pixels in this batch.
    - Otherwise one threshold holds for all classes: a confidence larger than 0.9 in the paper's
      Section IV-C.

    Args:
        prob: probabilities (B, C, H, W) of the teacher.
        settings: `confidence` and `keep_fraction`.
        ignore_label: label of the pixels that get no pseudo-label.
        class_thresholds: (C,) in (0, 1], of `class_thresholds`.

    Returns:
        (B, H, W) int64.
    """
    if class_thresholds is not None:
        ratio, label = (prob / class_thresholds.to(prob)[:, None, None]).max(dim=1)
        return label.masked_fill(ratio < 1, ignore_label)
    confidence, label = prob.max(dim=1)
    if settings.keep_fraction is None:
        return label.masked_fill(confidence <= settings.confidence, ignore_label)
    pseudo_label = torch.full_like(label, ignore_label)
    for c in range(prob.shape[1]):
        is_c = label == c
        if (count := int(is_c.sum())) > 0:
            kept = max(1, round(settings.keep_fraction * count))
            threshold = confidence[is_c].kthvalue(count - kept + 1).values
            pseudo_label[is_c & (confidence >= threshold)] = c
    return pseudo_label


@torch.no_grad()
def class_thresholds(
    teacher: nn.Module, images: Iterable[Tensor], classes: int, keep_fraction: float
) -> Tensor:
    """Find each class's threshold: the confidence that a fraction of its pixels exceeds.

    It is taken over all images, so that a class that is rare in one batch keeps its share (CBST,
    Zou et al., ECCV 2018, Section 3.2).

    Args:
        teacher: network in evaluation mode.
        images: batches (B, 3, H, W) of a whole domain.
        classes: number C of classes.
        keep_fraction: fraction in (0, 1] of the pixels of each predicted class.

    Returns:
        (C,) float32 on the CPU; 1 for a class that is predicted nowhere.
    """
    counts = torch.zeros(classes, BINS, dtype=torch.int64)
    for image in images:
        confidence, label = teacher(image).float().softmax(dim=1).max(dim=1)
        place = (confidence * (BINS - 1)).long() + label * BINS
        counts += torch.bincount(place.flatten().cpu(), minlength=classes * BINS).view(classes, -1)
    kept = (keep_fraction * counts.sum(dim=1)).ceil()
    from_the_top = counts.flip(1).cumsum(dim=1)
    first = (from_the_top < kept[:, None]).sum(dim=1)
    thresholds = (BINS - 1 - first).float() / (BINS - 1)
    return torch.where(counts.sum(dim=1) > 0, thresholds.clamp(min=1 / BINS), torch.ones(classes))


@torch.no_grad()
def update_ema(teacher: nn.Module, segmenter: nn.Module, decay: float) -> None:
    """Move the teacher's weights and batch-norm statistics towards the segmenter's.

    teacher = decay * teacher + (1 - decay) * segmenter (Tarvainen and Valpola, NeurIPS 2017).
    Counters are copied.
    """
    theirs = segmenter.state_dict()
    for name, ours in teacher.state_dict().items():
        if ours.is_floating_point():
            ours.lerp_(theirs[name], 1 - decay)
        else:
            ours.copy_(theirs[name])
