import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from monai.metrics import compute_dice

from fundus_uda.masks.dice import dice_cup_disc, summarise

MASKS = arrays(np.uint8, (6, 5), elements=st.integers(0, 2))


def test_dice_by_hand():
    predicted = np.array([[0, 1, 2, 2]], dtype=np.uint8)
    reference = np.array([[1, 1, 1, 2]], dtype=np.uint8)
    cup, disc = dice_cup_disc(predicted, reference)
    assert cup == pytest.approx(2 * 1 / (2 + 1))
    assert disc == pytest.approx(2 * 3 / (3 + 4))


def test_empty_masks():
    empty, rim, full = (np.full((2, 2), value, dtype=np.uint8) for value in (0, 1, 2))
    assert dice_cup_disc(empty, empty) == (1, 1)
    assert dice_cup_disc(rim, rim) == (1, 1)  # neither has a cup
    assert dice_cup_disc(empty, full) == (0, 0)
    assert dice_cup_disc(full, rim) == (0, 1)


@given(MASKS, MASKS)
@settings(deadline=None)
def test_dice_is_equation_8_and_symmetric(one, other):
    for (cup_or_disc, swapped), structure in zip(
        zip(dice_cup_disc(one, other), dice_cup_disc(other, one), strict=True),
        (lambda m: m == 2, lambda m: m > 0),
        strict=True,
    ):
        a, b = structure(one), structure(other)
        expected = 2 * (a & b).sum() / (a.sum() + b.sum()) if a.any() or b.any() else 1
        assert cup_or_disc == pytest.approx(expected)
        assert swapped == pytest.approx(cup_or_disc)


def test_dice_is_that_of_monai():
    masks = np.random.default_rng(0).integers(0, 3, (2, 50, 60)).astype(np.uint8)
    onehot = [torch.from_numpy(np.stack([m == 2, m != 0])).float()[None] for m in masks]
    expected = compute_dice(*onehot, include_background=True, ignore_empty=False)[0].tolist()
    assert dice_cup_disc(*masks) == pytest.approx(expected)


def test_summary_by_hand():
    summary = summarise(np.array([0.2, 0.4, 0.9]))
    assert summary["mean"] == pytest.approx(0.5)
    assert summary["std"] == pytest.approx(np.sqrt((0.09 + 0.01 + 0.16) / 2))
    assert summary["n"] == 3
    low, high = summary["ci95"]
    assert 0.2 <= low < 0.5 < high <= 0.9


def test_the_interval_is_that_of_the_mean_and_repeatable():
    values = np.random.default_rng(0).normal(0.8, 0.1, 200)
    low, high = summarise(values)["ci95"]
    half_width = 1.96 * values.std(ddof=1) / np.sqrt(200)
    assert (high - low) / 2 == pytest.approx(half_width, rel=0.05)
    assert summarise(values)["ci95"] == [low, high]


def test_one_image_has_no_spread_and_equal_images_no_width():
    assert summarise(np.array([0.7])) == {"mean": 0.7, "std": None, "ci95": None, "n": 1}
    assert summarise(np.array([0.5, 0.5]))["ci95"] == [0.5, 0.5]
