import math
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from torch import nn

from fundus_uda.data.datasets import load_samples
from fundus_uda.data.samples import Sample
from fundus_uda.masks.measurements import refuge_vertical_cup_to_disc_ratio
from fundus_uda.segmentation.comparison import as_markdown, compare
from fundus_uda.segmentation.evaluation import evaluate, quality_summary, write_evaluation
from fundus_uda.segmentation.model import Model
from fundus_uda.segmentation.prediction import most_probable, outline, predictions
from tests.fixtures.small_run import small_settings

CPU = torch.device("cpu")
PLAIN = ("data.tta_flips=false", "data.fill_cup_hull=false")


class Thresholds(nn.Module):
    """Reads the class from the brightness: below 1/3 background, below 2/3 rim, else cup."""

    def forward(self, image):
        brightness = image[:, :1] * 0.5 + 0.5  # undo the encoder's normalisation
        centres = torch.tensor([1 / 6, 1 / 2, 5 / 6]).reshape(1, 3, 1, 1)
        return -200 * (brightness - centres) ** 2


@pytest.fixture
def model(cameras):
    settings = small_settings(cameras, *PLAIN)
    return Model(Thresholds(), settings, CPU, step=0, label_shares=torch.ones(3))


def test_of_equally_probable_classes_the_first_is_picked():
    levels = torch.randint(0, 3, (3, 50, 70), generator=torch.Generator().manual_seed(0)) / 2
    assert np.array_equal(most_probable(levels), levels.numpy().argmax(axis=0))


def predicting_with(model, network, **data) -> Model:
    """The model with another network, and other settings of its data."""
    data = model.settings.data.model_copy(update=data)
    settings = model.settings.model_copy(update={"data": data})
    return replace(model, network=network, settings=settings)


def ellipse_picture(path, height=90, width=150):
    """A tall disc in a wide picture: 60 rows by 30 columns, its cup 30 rows by 20 columns."""
    y, x = np.mgrid[:height, :width] + 0.5
    pixels = np.full((height, width, 3), 40, dtype=np.uint8)
    disc = np.hypot((y - 45) / 30, (x - 60) / 15) < 1
    cup = np.hypot((y - 45) / 15, (x - 60) / 10) < 1
    pixels[disc], pixels[cup] = 128, 215
    Image.fromarray(pixels).save(path)
    return disc.astype(np.uint8) + cup


def test_masks_come_back_at_the_pictures_own_size_and_upright(model, tmp_path):
    truth = ellipse_picture(tmp_path / "eye.png")
    sample = Sample("eye", tmp_path / "eye.png")
    ((found, photograph, prediction),) = predictions(model, [sample])
    assert found is sample
    assert np.array_equal(photograph, np.asarray(Image.open(sample.image)))
    assert prediction.mask.shape == truth.shape
    assert (prediction.mask == truth).mean() > 0.98
    rows, columns = np.nonzero(prediction.mask)
    assert np.ptp(rows) + 1 == pytest.approx(60, abs=3)
    assert np.ptp(columns) + 1 == pytest.approx(30, abs=3)


def test_probabilities_are_those_of_each_photograph_by_itself(model):
    pixels = np.random.default_rng(0).integers(0, 255, (2, 40, 70, 3)).astype(np.uint8)
    both = model.probabilities(model.views(pixels, flips=False))
    assert both.shape == (2, 3, 37, 64)  # of the network, without the padding around it
    assert torch.allclose(both.sum(dim=1), torch.ones(2, 37, 64))
    alone = model.probabilities(model.views(pixels[1:], flips=False))
    assert torch.allclose(both[1:], alone)


class LeftHalf(nn.Module):
    """Sees a disc with a cup in the left half of whatever it is shown."""

    def forward(self, image):
        logits = torch.zeros(len(image), 3, *image.shape[2:])
        logits[:, 0] = 5
        logits[:, 1, 16:48, 8:32] = 10
        logits[:, 2, 24:40, 16:28] = 20
        return logits


def test_flips_agree_where_the_network_follows_the_picture(model):
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 255, (64, 64, 3)).astype(np.uint8)
    follows = outline(model, pixels)
    assert (follows.flip_dice_cup, follows.flip_dice_disc) == (1.0, 1.0)
    stays = outline(predicting_with(model, LeftHalf()), pixels)
    # upside down it is the same; mirrored, none of it is
    assert (stays.flip_dice_cup, stays.flip_dice_disc) == pytest.approx((0.5, 0.5))
    assert stays.affinity.shape == (64, 64)
    assert stays.affinity[0, 0] == pytest.approx(1)
    assert stays.affinity[16, 16] < 0.9


def test_with_flips_a_prediction_is_the_mean_of_three_looks(model):
    pixels = np.random.default_rng(0).integers(0, 255, (64, 64, 3)).astype(np.uint8)
    with_flips = predicting_with(model, LeftHalf(), tta_flips=True)
    views = with_flips.views(pixels[None], flips=True)
    once = predicting_with(model, LeftHalf()).probabilities(views)
    mean = with_flips.probabilities(views)
    torch.testing.assert_close(mean, (once + once.flip(2) + once.flip(3)) / 3)
    prediction = outline(with_flips, pixels)
    assert np.array_equal(prediction.mask, mean[0].argmax(0).numpy())
    # agreement is between single looks: their mean would agree with itself
    assert prediction.flip_dice_cup == pytest.approx(0.5)


class Notched(nn.Module):
    """Sees a disc of 48 pixels whose cup has a notch, and a speck of cup far away."""

    def forward(self, image):
        logits = torch.zeros(len(image), 3, *image.shape[2:])
        logits[:, 0] = 5
        logits[:, 1, 8:56, 8:56] = 10
        logits[:, 2, 20:44, 20:44] = 20
        logits[:, 2, 20:32, 28:36] = 0
        logits[:, 2, 10, 10] = 20
        return logits


def test_a_convex_cup_has_no_notch_and_no_speck(model):
    pixels = np.zeros((64, 64, 3), dtype=np.uint8)
    mask = outline(predicting_with(model, Notched(), fill_cup_hull=True), pixels).mask
    assert np.array_equal(np.argwhere(mask == 2), np.argwhere(np.ones((24, 24))) + 20)
    assert (mask != 0).sum() == 48 * 48
    as_it_is = outline(predicting_with(model, Notched()), pixels).mask
    assert (as_it_is == 2).sum() == 24**2 - 96 + 1


def test_prediction_consumes_no_random_numbers(model, tmp_path):
    ellipse_picture(tmp_path / "eye.png")
    before = torch.get_rng_state()
    list(predictions(model, [Sample("e", tmp_path / "eye.png")]))
    assert torch.equal(before, torch.get_rng_state())


def test_evaluation_scores_at_the_original_size(model, tmp_path):
    for folder in ("images", "masks"):
        (tmp_path / folder).mkdir()
    truth = ellipse_picture(tmp_path / "images" / "eye.png")
    Image.fromarray(truth).save(tmp_path / "masks" / "eye.png")
    table = evaluate(model, load_samples(f"folder:{tmp_path}"))
    assert table["dice_cup"][0] > 0.9
    assert table["dice_disc"][0] > 0.95
    assert table["dice_mean"][0] == pytest.approx(
        (table["dice_cup"][0] + table["dice_disc"][0]) / 2
    )
    assert table["vertical_cdr_reference"][0] == pytest.approx(0.5)
    summary = write_evaluation(table, tmp_path / "out", {"method": "asa"})
    assert summary["vertical_cdr_error"] == pytest.approx(abs(table["vertical_cdr"][0] - 0.5))
    refuge = refuge_vertical_cup_to_disc_ratio(truth)
    assert table["vertical_cdr_refuge_reference"][0] == refuge
    assert summary["vertical_cdr_refuge_error"] == pytest.approx(
        abs(table["vertical_cdr_refuge"][0] - refuge)
    )
    assert summary["method"] == "asa"
    assert table["disc_area_reference"][0] == pytest.approx((truth > 0).mean())
    assert summary["cup_area_ratio"] == pytest.approx(1, abs=0.1)
    assert summary["quality"]["estimated_dice"] == pytest.approx(table["estimated_dice"][0])


def test_a_set_of_discs_alone_has_no_score_of_the_cup(model, tmp_path):
    for folder in ("images", "masks"):
        (tmp_path / folder).mkdir()
    truth = ellipse_picture(tmp_path / "images" / "eye.png")
    Image.fromarray((truth > 0).astype(np.uint8)).save(tmp_path / "masks" / "eye.png")
    table = evaluate(model, load_samples(f"folder:{tmp_path}"))
    summary = write_evaluation(table, tmp_path / "out", {"method": "asa", "seed": 0, "step": 1})
    assert summary["dice_disc"]["mean"] > 0.95
    for name in ("dice_cup", "dice_mean"):
        assert summary[name] == {"mean": None, "std": None, "ci95": None, "n": 0}
    assert summary["vertical_cdr_error"] is summary["vertical_cdr_refuge_error"] is None
    assert summary["cup_area_ratio"] is None
    assert summary["quality"]["low"] == 0
    assert summary["quality"]["false_alarms"] is None
    compared = as_markdown(compare([tmp_path / "out"]))
    assert f"|  | {summary['dice_disc']['mean']:.3f} |  |" in compared


def test_a_set_without_any_disc_has_no_ratio_error(tmp_path):
    row = {
        "image": "x",
        "dice_cup": 0.0,
        "dice_disc": 0.0,
        "disc_area": 0.1,
        "cup_area": 0.0,
    }
    row |= {"vertical_cdr": math.nan, "vertical_cdr_reference": 0.5}
    row |= {"vertical_cdr_refuge": math.nan, "vertical_cdr_refuge_reference": 0.4}
    row |= {"disc_area_reference": 0.2, "cup_area_reference": 0.0}
    row |= {"dice_mean": 0.0, "estimated_dice": 0.3, "flags": "no_cup"}
    summary = write_evaluation(pd.DataFrame([row]), tmp_path, {})
    assert summary["vertical_cdr_error"] is None
    assert summary["vertical_cdr_images"] == 0
    assert summary["vertical_cdr_refuge_error"] == pytest.approx(0.4)  # 0, as for no cup
    assert summary["disc_area_ratio"] == pytest.approx(0.5)
    assert summary["cup_area_ratio"] is None


def test_the_flags_are_scored_by_what_they_catch():
    table = pd.DataFrame(
        {
            "dice_mean": [0.9, 0.85, 0.7, 0.6, 0.5],
            "estimated_dice": [0.9, 0.8, 0.85, 0.7, 0.6],
            "flags": ["", "dark", "", "unstable dark", "no_cup"],
        }
    )
    assert quality_summary(table) == {
        "estimated_dice": pytest.approx(0.77),
        "spearman": pytest.approx(0.9),
        "low": 3,
        "recall": pytest.approx(2 / 3),
        "false_alarms": pytest.approx(1 / 2),
    }
    good = quality_summary(table[:1])
    assert (good["spearman"], good["recall"], good["false_alarms"]) == (None, None, 0)
