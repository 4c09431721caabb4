import pytest
import torch
from torch import nn

from fundus_uda.engine.settings import TeacherSettings
from fundus_uda.engine.teacher import class_thresholds, pseudo_labels, update_ema

IGNORE = 255
BIN = 2**-16 * 1.01
"""How finely thresholds over a domain are found, in confidence."""
PROB = torch.tensor(  # one row of six pixels, two classes: 0, 0, 0, 0, 1, 1
    [[0.95, 0.90, 0.80, 0.60, 0.30, 0.45], [0.05, 0.10, 0.20, 0.40, 0.70, 0.55]]
).reshape(1, 2, 1, 6)


def labels(**changes) -> list[int]:
    return pseudo_labels(PROB, TeacherSettings(**changes), IGNORE).flatten().tolist()


def test_pixels_below_the_confidence_do_not_teach():
    """Section IV-C: a pixel teaches if its confidence is larger, so not at 0.9 itself."""
    assert labels(confidence=0.9) == [0, IGNORE, IGNORE, IGNORE, IGNORE, IGNORE]
    assert labels(confidence=0.0) == [0, 0, 0, 0, 1, 1]


def test_each_class_keeps_its_share_of_its_own_most_confident_pixels():
    assert labels(keep_fraction=0.5) == [0, 0, IGNORE, IGNORE, 1, IGNORE]
    assert labels(keep_fraction=0.01) == [0, IGNORE, IGNORE, IGNORE, 1, IGNORE]
    assert labels(keep_fraction=1.0) == [0, 0, 0, 0, 1, 1]


def test_the_only_pixel_of_a_class_is_kept():
    prob = torch.tensor([[0.9, 0.8, 0.3], [0.1, 0.2, 0.7]]).reshape(1, 2, 1, 3)
    label = pseudo_labels(prob, TeacherSettings(keep_fraction=0.5), IGNORE)
    assert label.tolist() == [[[0, IGNORE, 1]]]


def test_equally_confident_pixels_are_kept_together():
    prob = torch.tensor([[0.8, 0.8, 0.6, 0.6], [0.2, 0.2, 0.4, 0.4]]).reshape(1, 2, 2, 2)
    label = pseudo_labels(prob, TeacherSettings(keep_fraction=0.25), IGNORE)
    assert label.tolist() == [[[0, 0], [IGNORE, IGNORE]]]


def test_thresholds_of_classes_choose_the_class_by_the_ratio():
    """CBST, Eq. 6: the class of the largest p_c / k_c, if that is at least 1."""
    prob = torch.tensor(  # ratios (2/3, 4/3), (1, 0.8), (2/3 + a little, 1) and (0.8, 0.8)
        [[0.5, 0.75, 0.625, 0.6], [0.5, 0.25, 0.375, 0.3]]
    ).reshape(1, 2, 2, 2)
    thresholds = torch.tensor([0.75, 0.375])
    label = pseudo_labels(prob, TeacherSettings(confidence=1), IGNORE, thresholds)
    assert label.tolist() == [[[1, 0], [1, IGNORE]]]
    assert label.dtype == torch.int64


class Probabilities(nn.Module):
    """A network whose softmax is its input, without gradients."""

    def forward(self, image):
        assert not torch.is_grad_enabled()
        return image.log()


@pytest.mark.parametrize("split", [1, 2, 6])
def test_a_threshold_is_the_confidence_of_the_last_pixel_kept_in_the_whole_domain(split):
    """Class 0 has confidences 0.95, 0.9, 0.8, 0.6, class 1 has 0.7, 0.55, class 2 none."""
    prob = torch.cat([PROB, torch.full((1, 1, 1, 6), 1e-9)], dim=1)
    images = list(prob.chunk(split, dim=3))
    for fraction, first, second in (
        (0.5, 0.9, 0.7),
        (0.25, 0.95, 0.7),
        (0.51, 0.8, 0.55),
        (1, 0.6, 0.55),
    ):
        thresholds = class_thresholds(Probabilities(), images, 3, fraction)
        assert thresholds.dtype == torch.float32
        assert thresholds.tolist() == pytest.approx([first, second, 1], abs=BIN)
        assert (thresholds[:2] <= torch.tensor([first, second])).all()
        label = pseudo_labels(prob, TeacherSettings(), IGNORE, thresholds)
        kept = (PROB.amax(dim=1) >= torch.tensor([[first] * 4 + [second] * 2])).flatten()
        assert (label.flatten() != IGNORE).tolist() == kept.tolist()


def test_a_single_pixel_has_its_own_confidence_as_threshold():
    prob = torch.tensor([[0.9, 0.3], [0.1, 0.7]]).reshape(1, 2, 1, 2)
    thresholds = class_thresholds(Probabilities(), [prob], 2, 0.2)
    assert thresholds.tolist() == pytest.approx([0.9, 0.7], abs=BIN)


def test_thresholds_follow_the_probabilities_to_their_device():
    prob = PROB.to("meta")
    label = pseudo_labels(prob, TeacherSettings(), IGNORE, torch.tensor([0.75, 0.375]))
    assert label.device == prob.device


def test_a_certain_teacher_has_thresholds_of_one_and_keeps_its_pixels():
    prob = torch.tensor([[1.0, 1.0, 0.0], [0.0, 0.0, 1.0]]).reshape(1, 2, 1, 3)
    thresholds = class_thresholds(Probabilities(), [prob], 2, 0.5)
    assert thresholds.tolist() == [1, 1]
    assert pseudo_labels(prob, TeacherSettings(), IGNORE, thresholds).tolist() == [[[0, 0, 1]]]


def test_a_teacher_moves_its_weights_and_statistics_and_copies_counters():
    teacher, segmenter = nn.BatchNorm1d(1).eval(), nn.BatchNorm1d(1)
    segmenter.weight.data.fill_(3.0)
    segmenter.running_mean.fill_(10.0)
    segmenter.num_batches_tracked.fill_(4)
    update_ema(teacher, segmenter, decay=0.9)
    assert teacher.weight.item() == torch.tensor(0.9 * 1 + 0.1 * 3).item()
    assert teacher.running_mean.item() == 1.0
    assert teacher.num_batches_tracked.item() == 4
