"""The teacher of self-training: its pseudo-labels, and how it follows the segmenter."""

import torch
from torch import Tensor, nn

from fundus_uda.engine.config import TeacherSettings


@torch.no_grad()
def pseudo_labels(prob: Tensor, settings: TeacherSettings, ignore_label: int) -> Tensor:
    """The teacher's most probable classes where it is confident, `ignore_label` elsewhere.

    A pixel's confidence is the probability of its class. With `keep`, each class is judged among
    its own pixels, so that small and difficult ones are not left out (class-balanced
    self-training, Zou et al., ECCV 2018); without, all by one threshold (the paper's Section IV-C,
    0.9).

    Args:
        prob: probabilities (B, C, H, W).
        settings: `confidence` and `keep`.
        ignore_label: of the pixels that do not teach.

    Returns:
        (B, H, W) int64.
    """
    confidence, label = prob.max(dim=1)
    if settings.keep is None:
        return label.masked_fill(confidence < settings.confidence, ignore_label)
    taught = torch.full_like(label, ignore_label)
    for c in range(prob.shape[1]):
        of_c = label == c
        if (count := int(of_c.sum())) > 0:
            kept = max(1, round(settings.keep * count))
            threshold = confidence[of_c].kthvalue(count - kept + 1).values
            taught[of_c & (confidence >= threshold)] = c
    return taught


@torch.no_grad()
def follow(teacher: nn.Module, segmenter: nn.Module, decay: float) -> None:
    """Move each of the teacher's weights and statistics towards the segmenter's.

    teacher = decay * teacher + (1 - decay) * segmenter (Tarvainen and Valpola, NeurIPS 2017).
    Counters are copied.
    """
    theirs = segmenter.state_dict()
    for name, ours in teacher.state_dict().items():
        if ours.is_floating_point():
            ours.lerp_(theirs[name], 1 - decay)
        else:
            ours.copy_(theirs[name])
