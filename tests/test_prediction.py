import math

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from torch import nn

from fundus_uda.data.datasets import Sample, load_samples
from fundus_uda.engine.errors import InputError
from fundus_uda.evaluation import evaluate, write_evaluation
from fundus_uda.model import Model
from fundus_uda.prediction import CUP_COLOUR, DISC_COLOUR, overlay, predict, predictions
from tests.small_run import small_settings

CPU = torch.device("cpu")


class Thresholds(nn.Module):
    """Reads the class from the brightness: below 1/3 background, below 2/3 rim, else cup."""

    def forward(self, image):
        brightness = image[:, :1] * 0.5 + 0.5  # undo the encoder's normalisation
        centres = torch.tensor([1 / 6, 1 / 2, 5 / 6]).reshape(1, 3, 1, 1)
        return -200 * (brightness - centres) ** 2


@pytest.fixture
def model(cameras):
    return Model(Thresholds(), small_settings(cameras), step=0)


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
    table = predict(model, [tmp_path / "eye.png"], tmp_path / "out", CPU)
    mask = np.asarray(Image.open(tmp_path / "out" / "masks" / "eye.png"))
    assert mask.shape == truth.shape
    assert (mask == truth).mean() > 0.98
    assert table["vertical_cdr"][0] == pytest.approx(0.5, abs=0.06)
    assert table.columns[:2].tolist() == ["image", "vertical_cdr"]
    assert table["disc_height_pixels"][0] == pytest.approx(60, abs=3)
    assert table["disc_width_pixels"][0] == pytest.approx(30, abs=3)
    written = pd.read_csv(tmp_path / "out" / "measurements.csv")
    assert written.columns.tolist() == table.columns.tolist()
    assert written["rim_clock_12_pixels"][0] == pytest.approx(table["rim_clock_12_pixels"][0])


def test_overlay_outlines_disc_and_cup_and_leaves_the_rest(model, tmp_path):
    truth = ellipse_picture(tmp_path / "eye.png")
    predict(model, [tmp_path / "eye.png"], tmp_path / "out", CPU)
    drawn = np.asarray(Image.open(tmp_path / "out" / "overlays" / "eye.png"))
    original = np.asarray(Image.open(tmp_path / "eye.png"))
    changed = (drawn != original).any(axis=2)
    colours = {tuple(c) for c in drawn[changed].tolist()}
    assert colours == {DISC_COLOUR, CUP_COLOUR}
    assert changed[45, 45 - 2 : 45 + 4].any()  # the left edge of the disc
    assert not changed[:10].any()
    assert changed.sum() < 0.2 * truth.size


def test_overlay_of_an_empty_mask_is_the_photograph():
    photograph = np.random.default_rng(0).integers(0, 255, (20, 30, 3)).astype(np.uint8)
    assert np.array_equal(overlay(photograph, np.zeros((20, 30), dtype=np.uint8)), photograph)


def test_folders_and_files_are_taken_together(model, tmp_path):
    (tmp_path / "folder").mkdir()
    for name in ("folder/a.png", "folder/b.png", "c.png"):
        ellipse_picture(tmp_path / name)
    table = predict(model, [tmp_path / "folder", tmp_path / "c.png"], tmp_path / "out", CPU)
    assert table["image"].tolist() == ["a", "b", "c"]


def test_wrong_paths_are_named_and_write_nothing(model, tmp_path):
    (tmp_path / "empty").mkdir()
    ellipse_picture(tmp_path / "eye.png")
    ellipse_picture(tmp_path / "eye.jpg")
    for paths, message in (
        (["none.png"], "image or a folder of images at .*none.png. Got: nothing"),
        (["empty"], "Expected images in .*empty. Got: none"),
        (["eye.png", "eye.jpg"], "images of different names"),
    ):
        with pytest.raises(InputError, match=message):
            predict(model, [tmp_path / p for p in paths], tmp_path / "out", CPU)
    assert not (tmp_path / "out").exists()


def test_prediction_consumes_no_random_numbers(model, tmp_path):
    ellipse_picture(tmp_path / "eye.png")
    before = torch.get_rng_state()
    list(predictions(model.segmenter, model.settings, [Sample("e", tmp_path / "eye.png")], CPU))
    assert torch.equal(before, torch.get_rng_state())


def test_evaluation_scores_at_the_original_size(model, tmp_path):
    for folder in ("images", "masks"):
        (tmp_path / folder).mkdir()
    truth = ellipse_picture(tmp_path / "images" / "eye.png")
    Image.fromarray(truth).save(tmp_path / "masks" / "eye.png")
    table = evaluate(model.segmenter, model.settings, load_samples(f"folder:{tmp_path}"), CPU)
    assert table["dice_cup"][0] > 0.9
    assert table["dice_disc"][0] > 0.95
    assert table["dice_mean"][0] == pytest.approx(
        (table["dice_cup"][0] + table["dice_disc"][0]) / 2
    )
    assert table["vertical_cdr_reference"][0] == pytest.approx(0.5)
    summary = write_evaluation(table, tmp_path / "out", {"method": "asa"})
    assert summary["vertical_cdr_error"] == pytest.approx(abs(table["vertical_cdr"][0] - 0.5))
    assert summary["method"] == "asa"
    assert table["disc_area_reference"][0] == pytest.approx((truth > 0).mean())
    assert summary["cup_area_ratio"] == pytest.approx(1, abs=0.1)


def test_a_set_without_any_disc_has_no_ratio_error(tmp_path):
    row = {
        "image": "x",
        "dice_cup": 0.0,
        "dice_disc": 0.0,
        "dice_mean": 0.0,
        "disc_area": 0.1,
        "cup_area": 0.0,
    }
    row |= {"vertical_cdr": math.nan, "vertical_cdr_reference": 0.5}
    row |= {"disc_area_reference": 0.2, "cup_area_reference": 0.0}
    summary = write_evaluation(pd.DataFrame([row]), tmp_path, {})
    assert summary["vertical_cdr_error"] is None
    assert summary["disc_area_ratio"] == pytest.approx(0.5)
    assert summary["cup_area_ratio"] is None
