import math

import pytest
import torch
from torch import nn

from fundus_uda.affinity import mean_affinity
from fundus_uda.engine.selection import (
    SelectionScore,
    competes,
    effective_classes,
    has_collapsed,
    selection_score,
)
from tests.fixtures.tiny_engine import run, segmenter, settings, state

LABELS = torch.tensor([0.7, 0.2, 0.1])


def test_effective_classes_by_hand():
    assert effective_classes(torch.tensor([10, 0, 0])) == pytest.approx(1)
    assert effective_classes(torch.tensor([5, 5, 5])) == pytest.approx(3)
    half_quarter = math.exp(0.5 * math.log(2) + 0.5 * math.log(4))
    assert effective_classes(torch.tensor([2, 1, 1])) == pytest.approx(half_quarter)


def test_half_of_the_expected_variety_is_the_border():
    expected = torch.tensor([0.99, 0.01])  # no class but the first is large
    border = 1 + (effective_classes(expected) - 1) / 2
    share = 0.00442  # of the second class, where the prediction has about that variety
    assert effective_classes(torch.tensor([1 - share, share])) == pytest.approx(border, abs=1e-4)
    assert has_collapsed(torch.tensor([0.9956, 0.0044]), expected)
    assert not has_collapsed(torch.tensor([0.9955, 0.0045]), expected)


def test_a_large_class_must_not_vanish_however_the_others_vary():
    background_rim_cup = torch.tensor([0.72, 0.21, 0.07])
    assert has_collapsed(torch.tensor([0.6, 0.4, 0.0]), background_rim_cup)
    assert has_collapsed(torch.tensor([0.6, 0.394, 0.006]), background_rim_cup)
    assert not has_collapsed(torch.tensor([0.6, 0.392, 0.008]), background_rim_cup)


def test_a_tenth_of_a_large_class_is_enough_and_two_hundredths_are_large():
    assert not has_collapsed(torch.tensor([0.5, 0.475, 0.025]), torch.tensor([0.5, 0.25, 0.25]))
    assert has_collapsed(torch.tensor([0.5, 0.5, 0.0]), torch.tensor([0.5, 0.48, 0.02]))
    assert not has_collapsed(torch.tensor([0.5, 0.5, 0.0]), torch.tensor([0.5, 0.485, 0.015]))


def test_counts_of_pixels_are_as_good_as_shares():
    sound, lacking = torch.tensor([600, 392, 8]), torch.tensor([600, 394, 6])
    for expected in (torch.tensor([72, 21, 7]), torch.tensor([0.72, 0.21, 0.07])):
        for scale in (1, 1000):
            assert not has_collapsed(scale * sound, expected)
            assert has_collapsed(scale * lacking, expected)


def test_only_the_second_half_competes_and_nothing_collapsed():
    sound, collapsed = SelectionScore(0.9, 2.0, False), SelectionScore(1.0, 1.0, True)
    assert [competes(sound, step, 100) for step in (49, 50, 100)] == [False, True, True]
    assert not competes(collapsed, 100, 100)


class Constant(nn.Module):
    def forward(self, image):
        logits = torch.zeros(image.shape[0], 3, *image.shape[2:])
        logits[:, 0] = 20
        return logits


def test_a_constant_prediction_scores_one_and_counts_as_collapsed():
    score = selection_score(Constant(), [torch.zeros(2, 3, 8, 8)], LABELS, neighbors=8)
    assert score.mean_affinity == pytest.approx(1)
    assert score.effective_classes == pytest.approx(1)
    assert score.collapsed


def test_the_score_averages_images_and_not_batches():
    generator = torch.Generator().manual_seed(0)
    images = torch.randn(3, 3, 8, 8, generator=generator)
    network = segmenter()
    split = selection_score(network, [images[:2], images[2:]], LABELS, neighbors=8)
    prob = network.eval()(images).softmax(dim=1)
    assert split.mean_affinity == pytest.approx(mean_affinity(prob).mean().item(), abs=1e-6)


class Brightness(nn.Module):
    """Predicts the class that each pixel of the image names, and asks for no gradient."""

    def forward(self, image):
        assert not torch.is_grad_enabled()
        return 20 * torch.nn.functional.one_hot(image[:, 0].long(), 3).permute(0, 3, 1, 2).float()


def test_the_classes_are_counted_over_all_images():
    """Batches of one class each, the last class in none: shares 2/3, 1/3 and 0."""
    batches = [torch.full((size, 3, 8, 8), float(c)) for size, c in ((1, 0), (2, 1), (3, 0))]
    score = selection_score(Brightness(), batches, torch.tensor([2.0, 1.0, 0.0]), neighbors=8)
    assert score.effective_classes == pytest.approx(effective_classes(torch.tensor([2, 1])))
    assert not score.collapsed
    # plain numbers, as snapshots.csv prints them
    assert [type(value) for value in vars(score).values()] == [float, float, bool]


def test_the_best_snapshot_is_kept_and_never_a_collapsed_one(tmp_path):
    of = settings()
    growing = state(of)
    folder = run(growing, of, tmp_path / "growing")
    assert (growing.selected_step, growing.selected_score) == (7, 0.07)
    assert folder.selected.is_file()

    collapsed = state(of)
    folder = run(collapsed, of, tmp_path / "collapsed", collapsed=True)
    assert collapsed.selected_step is None
    assert not folder.selected.exists()
    assert folder.last.is_file()


def test_scoring_consumes_no_random_numbers():
    before = torch.get_rng_state()
    selection_score(segmenter(), [torch.zeros(1, 3, 8, 8)], LABELS, neighbors=8)
    expected = before.clone()
    torch.set_rng_state(before)
    segmenter()  # building it draws numbers; scoring must add none
    after_building = torch.get_rng_state()
    torch.set_rng_state(expected)
    network = segmenter()
    selection_score(network, [torch.zeros(1, 3, 8, 8)], LABELS, neighbors=8)
    assert torch.equal(torch.get_rng_state(), after_building)
