import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st
from torch import nn

from fundus_uda.engine.settings import TeacherSettings
from fundus_uda.engine.teacher import BINS, class_thresholds, pseudo_labels, update_ema
from fundus_uda.errors import InputError
from fundus_uda.segmentation.settings import read_settings as read_fundus
from roadscene.settings import read_settings as read_streets

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
    assert labels(confidence=0.89) == [0, 0, IGNORE, IGNORE, IGNORE, IGNORE]
    assert labels(confidence=0.0) == [0, 0, 0, 0, 1, 1]


def test_a_confidence_must_be_exceeded():
    """As the paper's "larger than 0.9" says; halves are exact."""
    assert labels(confidence=0.9) == [0, *[IGNORE] * 5]
    halves = torch.tensor([[0.5, 0.75], [0.5, 0.25]]).reshape(1, 2, 1, 2)
    found = pseudo_labels(halves, TeacherSettings(confidence=0.5), IGNORE)
    assert found.flatten().tolist() == [IGNORE, 0]


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


def test_with_thresholds_a_pixel_has_the_class_of_the_largest_ratio():
    """p / k of each pixel: (1.19, 0.1), (1.0, 0.4), (0.75, 0.8), (0.56, 1.1), (0.5, 1.2)."""
    prob = torch.tensor([[0.95, 0.8, 0.6, 0.45, 0.4], [0.05, 0.2, 0.4, 0.55, 0.6]])
    found = pseudo_labels(
        prob.reshape(1, 2, 1, 5), TeacherSettings(), IGNORE, torch.tensor([0.8, 0.5])
    )
    assert found.flatten().tolist() == [0, 0, IGNORE, 1, 1]


def test_a_class_with_a_low_threshold_wins_over_one_that_is_more_probable():
    prob = torch.tensor([0.6, 0.4]).reshape(1, 2, 1, 1)
    assert pseudo_labels(prob, TeacherSettings(), IGNORE).item() == IGNORE
    assert pseudo_labels(prob, TeacherSettings(), IGNORE, torch.tensor([0.9, 0.3])).item() == 1


class Said(nn.Module):
    """A teacher that takes probabilities for images, and says them."""

    def forward(self, prob):
        return prob.log()


def batch_of(*pixels) -> torch.Tensor:
    """(1, C, 1, number of pixels) of the probabilities of each pixel."""
    return torch.tensor(pixels).T[None, :, None]


def test_thresholds_by_hand():
    """Over both batches: 0 at 0.9, 0.8, 0.7, 0.6 and 0.5; 1 at 0.6; 2 is predicted nowhere."""
    images = [
        batch_of((0.9, 0.1, 0.0), (0.6, 0.3, 0.1), (0.3, 0.6, 0.1)),
        batch_of((0.5, 0.3, 0.2), (0.8, 0.1, 0.1), (0.7, 0.2, 0.1)),
    ]
    for keep_fraction, first in ((0.2, 0.9), (0.21, 0.8), (0.4, 0.8), (0.6, 0.7), (1.0, 0.5)):
        found = class_thresholds(Said(), images, 3, keep_fraction)
        assert (found.dtype, found.device.type) == (torch.float32, "cpu")
        assert found.tolist() == pytest.approx([first, 0.6, 1.0], abs=1.1 / BINS)
        assert found[2] == 1


def thresholds_by_loop(batches, classes, keep_fraction) -> list[float]:
    """Sort each class's confidences, and go down as many as are to be kept."""
    found = []
    for c in range(classes):
        confidences = []
        for prob in batches:
            for pixel in prob.transpose(0, 2, 3, 1).reshape(-1, classes):
                if pixel.argmax() == c:
                    confidences.append(float(pixel.max()))
        confidences.sort(reverse=True)
        kept = math.ceil(keep_fraction * len(confidences))
        found.append(confidences[kept - 1] if confidences else 1.0)
    return found


@examples(max_examples=30, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    classes=st.integers(2, 5),
    keep_fraction=st.sampled_from([0.01, 0.125, 0.25, 0.5, 0.75, 1.0]),
)
def test_thresholds_equal_a_loop_over_pixels(seed, classes, keep_fraction):
    rng = np.random.default_rng(seed)
    shapes = [(int(rng.integers(1, 3)), classes, 3, 5) for _ in range(3)]
    logits = [rng.normal(scale=3, size=shape).astype(np.float32) for shape in shapes]
    batches = [torch.from_numpy(each).softmax(dim=1) for each in logits]
    found = class_thresholds(Said(), batches, classes, keep_fraction)
    expected = thresholds_by_loop([each.numpy() for each in batches], classes, keep_fraction)
    np.testing.assert_allclose(found.numpy(), expected, atol=1.1 / BINS)
    for c in range(classes):  # those that are kept are never fewer than asked for
        of_class = [prob.max(1).values[prob.argmax(1) == c] for prob in batches]
        confidence = torch.cat(of_class)
        assert (confidence >= found[c]).sum() >= keep_fraction * len(confidence)


@pytest.mark.parametrize("read", [read_fundus, read_streets])
def test_class_balance_needs_a_fraction(read, monkeypatch):
    monkeypatch.setenv("FUNDUS_UDA_DATA", "/data")
    assert read("cpu/cbst", []).adaptation.teacher.keep_fraction == 0.2
    message = "method cbst needs adaptation.teacher.keep_fraction, for example 0.2"
    with pytest.raises(InputError, match=message):
        read("cpu/cbst", ["adaptation.teacher.keep_fraction=null"])
