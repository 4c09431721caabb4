"""Two numbers by which a network outlines as readers do."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from fundus_uda.data.datasets import load_samples
from fundus_uda.data.photograph_files import read_photograph
from fundus_uda.engine.checkpoint import load_checkpoint
from fundus_uda.masks.classes import CUP
from fundus_uda.segmentation.adjustment import (
    FEWEST,
    LAST_BIAS,
    Adjustment,
    adjustment_of,
    agreed,
    fit_adjustment,
    write_adjusted,
)
from fundus_uda.segmentation.model import load_model
from fundus_uda.segmentation.prediction import outline
from fundus_uda.segmentation.readers import seen_in_training
from tests.segmentation.test_model import write_model

CPU = torch.device("cpu")


def test_the_adjustment_of_four_pixels_by_hand():
    """Odds of disc against background: 1/4, 1, 4, 9; of cup against rim in those: 1, 1, 3, 2."""
    background = np.array([[0.8, 0.5, 0.2, 0.1]], dtype=np.float32)
    cup = np.array([[0.1, 0.25, 0.6, 0.6]], dtype=np.float32)
    probabilities = np.stack([background, 1 - background - cup, cup])
    disc, cup_shift = adjustment_of(np.log(probabilities), np.array([[0, 1, 1, 2]], dtype=np.uint8))
    assert disc == pytest.approx(np.log(2), rel=1e-5)  # between 1/4 and 1
    assert cup_shift == pytest.approx(-np.log(6) / 2, rel=1e-5)  # between 3 and 2


@given(seed=st.integers(0, 2**32 - 1), disc=st.integers(1, 399), share=st.floats(0, 1))
def test_the_areas_become_those_of_the_outlines(seed, disc, share):
    generator = np.random.default_rng(seed)
    logits = generator.normal(size=(3, 20, 20))
    cup = round(share * disc)
    label = np.zeros(400, dtype=np.uint8)
    label[:disc], label[:cup] = 1, CUP
    by = adjustment_of(logits, label.reshape(20, 20))
    background, rim, cup_logit = logits + Adjustment(by.disc, 0).bias[:, None, None].numpy()
    is_disc = np.logaddexp(rim, cup_logit) > background
    assert is_disc.sum() == disc
    assert np.isnan(by.cup) == (cup in (0, disc))
    if not np.isnan(by.cup):
        assert (is_disc & (cup_logit + by.cup > rim)).sum() == cup


@pytest.mark.parametrize("fill", [0, 1])
def test_a_mask_without_disc_or_without_background_tells_nothing(fill):
    by = adjustment_of(np.zeros((3, 4, 4), dtype=np.float32), np.full((4, 4), fill, dtype=np.uint8))
    assert np.isnan(by).all()


def test_shifts_that_agree_are_kept_and_others_shrunk():
    assert agreed(np.full(FEWEST, 0.7)) == pytest.approx(0.7)
    shifts = np.array([0.0, 1.0, 2.0, 3.0, 4.0])  # mean 2, squared error 2.5 / 5
    assert agreed(shifts) == pytest.approx(2 * (1 - 0.5 / 4))
    assert agreed(-shifts) == pytest.approx(-1.75)
    assert agreed(np.append(shifts, np.nan)) == pytest.approx(1.75)


def test_shifts_that_disagree_or_are_too_few_move_nothing():
    assert agreed(np.array([-2.0, 2.0, -1.0, 1.0, 0.5])) == 0
    assert agreed(np.zeros(FEWEST)) == 0
    assert agreed(np.full(FEWEST - 1, 0.7)) == 0
    assert agreed(np.append(np.full(FEWEST - 1, 0.7), np.nan)) == 0


@pytest.mark.parametrize("rows", [slice(0, 64), slice(8, 56)])
def test_a_network_is_brought_back_to_the_outlines_that_it_drew(rows, seeing_run, tmp_path):
    """A network whose last biases were moved, by the masks that it gave before."""
    model = load_model(seeing_run, CPU)
    for folder in ("images", "masks"):
        (tmp_path / "drawn" / folder).mkdir(parents=True)
    samples = load_samples(model.settings.data.test)
    for sample in samples:
        photograph = read_photograph(sample.image).permute(1, 2, 0).numpy()[rows]
        seen = outline(model, photograph)
        Image.fromarray(photograph).save(tmp_path / "drawn" / "images" / f"{sample.id}.png")
        Image.fromarray(seen.mask).save(tmp_path / "drawn" / "masks" / f"{sample.id}.png")
    write_adjusted(seeing_run, Adjustment(-1.5, 0.8), samples, "folder:x", tmp_path / "moved.pt")
    moved = load_model(tmp_path / "moved.pt", CPU)
    by = fit_adjustment(moved, load_samples(f"folder:{tmp_path / 'drawn'}"))
    assert by.disc == pytest.approx(1.5, abs=0.3)
    assert by.cup == pytest.approx(-0.8, abs=0.3)
    assert fit_adjustment(moved, samples[: FEWEST - 1]) == (0, 0)


@pytest.mark.parametrize("method", ["source", "mean_teacher"])
def test_what_is_written_is_a_model_whose_logits_are_moved(method, cameras, tmp_path):
    given = [f"method={method}", *(["start=run"] if method == "mean_teacher" else [])]
    write_model(tmp_path / "last.pt", cameras, 3, 3, *given)
    samples, by = load_samples(f"folder:{cameras / 'b'}"), Adjustment(0.5, -2.0)
    write_adjusted(tmp_path / "last.pt", by, samples, "outlined:few", tmp_path / "adjusted.pt")
    before, after = (load_model(tmp_path / f"{name}.pt", CPU) for name in ("last", "adjusted"))
    image = torch.rand(2, 3, 64, 64)
    with torch.no_grad():
        moved = after.network(image) - before.network(image)
    expected = torch.tensor([0.0, 0.5, -1.5])[:, None, None].expand_as(moved)
    torch.testing.assert_close(moved, expected)
    assert after.settings.start == str(tmp_path / "last.pt")
    assert after.settings.data.outlined == "outlined:few"
    assert seen_in_training(tmp_path / "adjusted.pt", "last", samples) == "with labels"
    assert seen_in_training(tmp_path / "last.pt", "last", samples) != "with labels"
    written = load_checkpoint(tmp_path / "adjusted.pt").weights
    for name, tensor in load_checkpoint(tmp_path / "last.pt").weights.items():
        assert torch.equal(written[name], tensor) == (name != LAST_BIAS)
