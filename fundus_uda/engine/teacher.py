"""The teacher of self-training: its pseudo-labels and its update."""

import torch
from torch import Tensor, nn

from fundus_uda.engine.settings import TeacherSettings


@torch.no_grad()
def pseudo_labels(prob: Tensor, settings: TeacherSettings, ignore_label: int) -> Tensor:
    """Return the teacher's most probable class where it is confident, `ignore_label` elsewhere.

    A pixel's confidence is the probability of its class. With `keep_fraction`, each class keeps
    the most confident of its own pixels, so that small and difficult classes are not left out
    (class-balanced self-training, Zou et al., ECCV 2018). Without it, one threshold holds for all
    classes (0.9 in the paper's Section IV-C).

    Args:
        prob: probabilities (B, C, H, W) of the teacher.
        settings: `confidence` and `keep_fraction`.
        ignore_label: label of the pixels that get no pseudo-label.

    Returns:
        (B, H, W) int64.
    """
    confidence, label = prob.max(dim=1)
    if settings.keep_fraction is None:
        return label.masked_fill(confidence < settings.confidence, ignore_label)
    pseudo_label = torch.full_like(label, ignore_label)
    for c in range(prob.shape[1]):
        is_c = label == c
        if (count := int(is_c.sum())) > 0:
            kept = max(1, round(settings.keep_fraction * count))
            threshold = confidence[is_c].kthvalue(count - kept + 1).values
            pseudo_label[is_c & (confidence >= threshold)] = c
    return pseudo_label


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
