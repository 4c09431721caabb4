import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter

from fundus_uda.data.datasets import load_samples
from fundus_uda.data.synthetic import CAMERAS, render, write_camera
from fundus_uda.demo import SIZE
from fundus_uda.masks.measurements import measure
from fundus_uda.masks.postprocess import remove_small_components
from fundus_uda.segmentation.model import load_model
from fundus_uda.segmentation.prediction import Prediction, predictions
from fundus_uda.segmentation.quality import (
    FLAGS,
    QUALITY,
    agreement,
    flags_of,
    is_disc,
    judge,
    quality,
)
from fundus_uda.segmentation.training import train
from tests.fixtures.shapes import ellipses
from tests.fixtures.small_run import small_settings

PHOTOGRAPH, MASK = render("a", 1, 256)


def firm(mask, dice_cup=0.9, dice_disc=0.96) -> Prediction:
    return Prediction(mask, np.full((64, 64), 0.999, dtype=np.float32), dice_cup, dice_disc)


def row_of(photograph=PHOTOGRAPH, mask=MASK, **prediction):
    return measure(mask) | quality(photograph, mask, firm(mask, **prediction))


def test_a_good_photograph_raises_nothing():
    row = row_of()
    assert tuple(quality(PHOTOGRAPH, MASK, firm(MASK))) == QUALITY
    assert flags_of(row) == []
    assert row["disc_share"] == pytest.approx((MASK > 0).mean())
    assert row["mean_affinity"] == pytest.approx(0.999)
    assert row["disc_ellipse_dice"] == pytest.approx(1, abs=0.02)
    assert row["estimated_dice"] == pytest.approx(
        -0.59 + 0.34 * 0.9 + 0.49 * 0.96 + 0.41 * row["disc_ellipse_dice"]
        + 0.31 * row["cup_ellipse_dice"]
    )  # fmt: skip


@pytest.mark.parametrize("camera", CAMERAS)
def test_the_photographs_of_the_demo_are_as_sharp_and_as_clean_as_real_ones(camera):
    for seed in range(8):
        photograph, mask = render(camera, seed, SIZE)
        raised = set(flags_of(row_of(photograph, mask)))
        assert not raised & {"noisy", "blurred", "dark", "overexposed", "little_field"}


@pytest.mark.parametrize(
    ("spoil", "flag"),
    [
        (lambda p: gaussian_filter(p, (3, 3, 0)), "blurred"),
        (lambda p: p + np.random.default_rng(0).normal(0, 60, p.shape), "noisy"),
        (lambda p: p * 0.2, "dark"),
        (lambda p: p * 4.0, "overexposed"),
        (lambda p: np.where(np.arange(256)[:, None, None] < 160, 0, p), "little_field"),
    ],
)
def test_spoiled_photographs_are_flagged(spoil, flag):
    spoiled = np.clip(spoil(PHOTOGRAPH.astype(float)), 0, 255).astype(np.uint8)
    assert flag in flags_of(row_of(spoiled))


def crescent():
    mask = ellipses((60, 60), (20, 20))
    mask[ellipses((60, 60), disc_centre=(100, 190)) > 0] = 0
    return mask


@pytest.mark.parametrize(
    ("mask", "flag"),
    [
        (ellipses((20, 20), (10, 10)), "disc_size"),
        (ellipses((150, 150), (50, 50)), "disc_size"),
        (np.maximum(ellipses((40, 40), (9, 9), (100, 60)), ellipses((40, 40), (9, 9), (100, 200))),
         "disc_in_parts"),
        (crescent(), "disc_not_round"),
        (ellipses((60, 50)), "no_cup"),
        (np.where(crescent() > 0, 2, ellipses((90, 90))).astype(np.uint8), "cup_not_round"),
        (ellipses((60, 50), (30, 30), cup_shift=(40, 0)), "cup_at_disc_edge"),
    ],
)  # fmt: skip
def test_implausible_masks_are_flagged(mask, flag):
    assert flag in flags_of(row_of(mask=mask))


def test_unsure_predictions_are_flagged():
    assert "unstable" in flags_of(row_of(dice_disc=0.8))
    assert "unstable" in flags_of(row_of(dice_cup=0.5))
    assert "low_estimate" in flags_of(row_of(dice_cup=0.5))
    assert "low_affinity" in flags_of(row_of() | {"mean_affinity": 0.98})


@pytest.mark.parametrize(
    ("roundness", "agreement_in_a_mirror", "disc"),
    [(0.97, 0.97, True), (0.97, 0.8, True), (0.9, 0.97, True), (0.9, 0.8, False)],
)
def test_what_is_neither_round_nor_firm_is_no_disc(roundness, agreement_in_a_mirror, disc):
    row = {"disc_ellipse_dice": roundness, "flip_dice_disc": agreement_in_a_mirror}
    assert is_disc(row) is disc


def test_disagreement_and_text_are_flagged_where_they_are_known():
    row = row_of()
    assert flags_of(row | {"before_dice_disc": 0.96, "before_dice_cup": 0.9}) == []
    assert flags_of(row | {"before_dice_disc": 0.96, "before_dice_cup": 0.5}) == ["models_disagree"]
    assert flags_of(row, text_in_pixels=True) == ["text_in_pixels"]


@pytest.mark.parametrize("name", FLAGS)
def test_every_flag_says_its_limit_and_what_to_do(name):
    flag = FLAGS[name]
    for sentence in (flag.limit, flag.advice):
        assert sentence[0].isupper()
        assert sentence.endswith(".")


def test_limits_in_words_are_those_of_the_rules():
    """Just inside each limit that the text names, nothing is raised; just outside, that flag."""
    good = row_of() | {"disc_share": 0.4}
    for name, measure_name, limit, below in (
        ("blurred", "sharpness", 0.4, True),
        ("noisy", "sharpness", 0.75, False),
        ("dark", "dark_share", 0.35, False),
        ("overexposed", "bright_share", 0.02, False),
        ("little_field", "field_share", 0.5, True),
        ("disc_not_round", "disc_ellipse_dice", 0.95, True),
        ("cup_not_round", "cup_ellipse_dice", 0.91, True),
        ("low_affinity", "mean_affinity", 0.99, True),
        ("unstable", "flip_dice_disc", 0.87, True),
        ("unstable", "flip_dice_cup", 0.6, True),
        ("low_estimate", "estimated_dice", 0.8, True),
        ("models_disagree", "before_dice_disc", 0.87, True),
        ("models_disagree", "before_dice_cup", 0.6, True),
    ):
        assert flags_of(good | {measure_name: limit}) == []
        assert flags_of(good | {measure_name: limit + (-1e-6 if below else 1e-6)}) == [name]
        said = FLAGS[name].limit
        text = {0.5: "half"}.get(limit, f"{limit:g}")
        assert text in said or f"{100 * limit:g} %" in said


def test_a_mask_without_a_cup_has_no_ellipse_of_it_and_a_low_estimate():
    row = row_of(mask=ellipses((60, 50)))
    assert math.isnan(row["cup_ellipse_dice"])
    assert row["estimated_dice"] < 0.7


def test_ellipses_are_ellipses_at_any_angle_and_size():
    y, x = np.mgrid[:700, :900]
    tilted = (((x - 450) * 0.8 + (y - 350) * 0.6) / 300) ** 2 + (
        ((y - 350) * 0.8 - (x - 450) * 0.6) / 150
    ) ** 2 < 1
    row = quality(np.full((700, 900, 3), 99, np.uint8), tilted.astype(np.uint8), firm(tilted))
    assert row["disc_ellipse_dice"] == pytest.approx(1, abs=0.01)


def test_agreement_is_dice_over_the_whole_photograph():
    first, second = ellipses((40, 40), (20, 20)), ellipses((40, 40), (10, 20))
    assert agreement(first, second) == pytest.approx((2 / 3, 1), abs=0.01)
    assert agreement(first, np.zeros_like(first)) == (0, 0)
    assert agreement(np.zeros_like(first), np.zeros_like(first)) == (1, 1)


CPU = torch.device("cpu")


def test_it_is_the_mean_of_each_photographs_over_evenly_spread_ones(cameras, tmp_path, monkeypatch):
    train(small_settings(cameras, "method=source", "data.test=null"), tmp_path / "run", CPU)
    write_camera(tmp_path / "b", "b", count=3, size=64, first_seed=0)
    for mask in (tmp_path / "b" / "masks").iterdir():
        mask.write_bytes(b"never read")
    monkeypatch.setattr("fundus_uda.segmentation.quality.MAX_PHOTOGRAPHS", 2)
    model, samples = load_model(tmp_path / "run", CPU), load_samples(f"folder:{tmp_path / 'b'}")
    data = model.settings.data.model_copy(update={"tta_flips": True, "fill_cup_hull": True})
    alike = replace(model, settings=model.settings.model_copy(update={"data": data}))
    each = [
        quality(image, remove_small_components(prediction.mask), prediction)["estimated_dice"]
        for _, image, prediction in predictions(alike, samples[::2])
    ]
    judged = judge(model, samples)
    assert judged.estimates.tolist() == pytest.approx(each)
