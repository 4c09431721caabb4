import numpy as np
import pytest

from fundus_uda.errors import InputError
from fundus_uda.masks.measurements import vertical_cup_to_disc_ratio
from fundus_uda.masks.region import disc_diameter
from fundus_uda.rendering.scene import Scene, render

SMALL = Scene(size=96)


@pytest.fixture(scope="module")
def eyes():
    return [render(SMALL, 3, index) for index in range(10)]


def test_a_photograph_is_a_function_of_seed_and_index(eyes):
    assert render(SMALL, 3, 5).jpeg == eyes[5].jpeg
    assert np.array_equal(render(SMALL, 3, 5).mask, eyes[5].mask)
    assert len({render(SMALL, 3, 6).jpeg, render(SMALL, 4, 5).jpeg, eyes[5].jpeg}) == 3


def test_masks_have_all_classes_and_a_disc_within_the_photograph(eyes):
    for eye in eyes:
        assert eye.photograph.shape == (96, 96, 3)
        assert eye.photograph.dtype == eye.mask.dtype == np.uint8
        assert set(np.unique(eye.mask)) == {0, 1, 2}
        assert eye.mask[[0, -1]].max() == eye.mask[:, [0, -1]].max() == 0
        assert 0.4 < disc_diameter(eye.mask) < 0.8


def test_the_disc_is_brighter_than_the_retina_and_the_cup_than_the_rim(eyes):
    for eye in eyes:
        red = eye.photograph[..., 0]
        assert np.median(red[eye.mask > 0]) > np.median(red[eye.mask == 0])
    green = [[np.median(eye.photograph[..., 1][eye.mask == k]) for k in (1, 2)] for eye in eyes]
    assert np.mean([cup > rim for rim, cup in green]) > 0.85


def test_ratios_are_those_that_were_asked_for():
    ratios = [
        vertical_cup_to_disc_ratio(render(Scene(size=128, ratio=(0.5, 0.6)), 0, index).mask)
        for index in range(8)
    ]
    assert min(ratios) > 0.48
    assert max(ratios) < 0.62
    assert np.ptp(ratios) > 0.03


def test_the_largest_cup_leaves_a_rim():
    mask = render(Scene(size=256, ratio=(0.98, 0.98)), 0, 0).mask
    assert 0.94 < vertical_cup_to_disc_ratio(mask) < 1


def test_a_whole_field_is_round_and_shows_a_small_disc():
    for index in range(3):
        eye = render(Scene(size=192, whole=True), 0, index)
        assert 0.08 < disc_diameter(eye.mask) < 0.32
        assert eye.photograph[:8, :8].max() < 40


@pytest.mark.parametrize("part", ["vessels", "texture", "atrophy", "lesions", "camera"])
def test_a_part_that_is_left_out_changes_the_picture_and_not_the_mask(part, eyes):
    without = [render(Scene(size=96, without=frozenset({part})), 3, i) for i in range(5)]
    assert any(
        not np.array_equal(one.photograph, eye.photograph)
        for one, eye in zip(without, eyes, strict=False)
    )
    for one, eye in zip(without, eyes, strict=False):
        assert np.array_equal(one.mask, eye.mask)


def test_vessels_are_darker_than_what_they_cross():
    with_them, without = (
        np.stack([render(Scene(size=96, without=parts), 1, i).photograph for i in range(4)])
        for parts in (frozenset(), frozenset({"vessels"}))
    )
    darker = (with_them[..., 1].astype(int) - without[..., 1] < -20).mean(axis=(1, 2))
    assert darker.mean() > 0.02


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ({"size": 63}, "64 to 2048"),
        ({"size": 5000}, "64 to 2048"),
        ({"ratio": (0.3, 0.99)}, "0.3:0.99"),
        ({"ratio": (0.0, 0.5)}, "0.0:0.5"),
        ({"ratio": (0.6, 0.5)}, "0.6:0.5"),
        ({"ratio": (float("nan"), 0.5)}, "nan"),
        ({"without": frozenset({"nerves"})}, "nerves"),
    ],
)
def test_impossible_scenes_are_refused(arguments, told):
    with pytest.raises(InputError, match=told):
        Scene(**arguments)
