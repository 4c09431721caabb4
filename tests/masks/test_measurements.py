import math

import numpy as np
import pytest

from fundus_uda.errors import InputError
from fundus_uda.masks.measurements import (
    measure,
    refuge_vertical_cup_to_disc_ratio,
    vertical_cup_to_disc_ratio,
)
from tests.fixtures.shapes import ellipses


def test_the_ratio_is_vertical_and_not_horizontal():
    mask = ellipses(disc=(80, 100), cup=(20, 75))
    assert vertical_cup_to_disc_ratio(mask) == pytest.approx(40 / 160)
    assert vertical_cup_to_disc_ratio(mask.T.copy()) == pytest.approx(150 / 200)


def test_refuge_counts_pixels_in_a_column():
    mask = ellipses(disc=(80, 80), cup=(40, 40))
    assert refuge_vertical_cup_to_disc_ratio(mask) == pytest.approx(80 / 160)
    mask[90:110][mask[90:110] == 2] = 1  # a gap through the middle of the cup
    assert refuge_vertical_cup_to_disc_ratio(mask) == pytest.approx(60 / 160)
    assert vertical_cup_to_disc_ratio(mask) == pytest.approx(80 / 160)


@pytest.mark.parametrize("ratio", [vertical_cup_to_disc_ratio, refuge_vertical_cup_to_disc_ratio])
def test_without_cup_or_disc(ratio):
    assert math.isnan(ratio(np.zeros((4, 4), dtype=np.uint8)))
    assert ratio(np.ones((4, 4), dtype=np.uint8)) == 0
    assert ratio(np.full((4, 4), 2, dtype=np.uint8)) == 1


def test_sizes_of_ellipses_in_a_wide_picture():
    found = measure(ellipses(disc=(80, 100), cup=(20, 75)))
    assert (found["disc_height_pixels"], found["disc_width_pixels"]) == (160, 200)
    assert (found["cup_height_pixels"], found["cup_width_pixels"]) == (40, 150)
    assert found["disc_area_pixels"] == pytest.approx(math.pi * 80 * 100, rel=2e-3)
    assert found["cup_area_pixels"] == pytest.approx(math.pi * 20 * 75, rel=5e-3)
    assert found["vertical_cdr"] == pytest.approx(0.25)
    assert found["horizontal_cdr"] == pytest.approx(0.75)
    assert found["area_cdr"] == pytest.approx(0.25 * 0.75, rel=5e-3)
    assert found["vertical_cdr_refuge"] == pytest.approx(0.25)
    assert (found["disc_components"], found["cup_components"]) == (1, 1)
    assert found["cup_touches_background"] is False


def test_millimetres_follow_the_spacing_of_rows_and_of_columns():
    mask = np.zeros((40, 60), dtype=np.uint8)
    mask[10:30, 10:50], mask[15:25, 20:40] = 1, 2
    found = measure(mask, spacing_mm=(0.05, 0.02))
    assert found["disc_height_mm"] == pytest.approx(20 * 0.05)
    assert found["disc_width_mm"] == pytest.approx(40 * 0.02)
    assert found["disc_area_mm2"] == pytest.approx(800 * 0.001)
    assert found["cup_height_mm"] == pytest.approx(10 * 0.05)
    assert found["cup_width_mm"] == pytest.approx(20 * 0.02)
    assert found["cup_area_mm2"] == pytest.approx(200 * 0.001)
    assert found["area_cdr"] == pytest.approx(0.25)
    without = measure(mask)
    assert all(math.isnan(without[name]) for name in without if "_mm" in name)


def test_an_empty_mask_has_no_ratio_and_no_size():
    found = measure(np.zeros((50, 40), dtype=np.uint8), (0.01, 0.01), "R")
    zero = {"disc_height_pixels", "disc_width_pixels", "disc_area_pixels", "disc_components"}
    zero |= {name.replace("disc", "cup") for name in zero}
    zero |= {name.replace("pixels", "mm") for name in zero if "area" not in name}
    zero |= {"disc_area_mm2", "cup_area_mm2"}
    for name, value in found.items():
        if name in zero:
            assert value == 0, name
        elif name == "isnt_rule":
            assert value is None
        elif name == "cup_touches_background":
            assert value is False
        else:
            assert math.isnan(value), name


def test_a_disc_without_a_cup_has_ratios_of_zero_and_half_rims():
    found = measure(ellipses(disc=(60, 60)), (0.015, 0.015), "L")
    assert found["vertical_cdr"] == found["horizontal_cdr"] == found["area_cdr"] == 0
    assert found["cup_components"] == 0
    assert found["rim_superior_ratio"] == pytest.approx(0.5, abs=0.01)
    assert found["ddls_stage"] == 1


def test_a_cup_outside_the_disc_is_flagged_and_no_part_of_the_rim():
    mask = ellipses(disc=(40, 40), cup=(20, 20), disc_centre=(100, 90))
    before = measure(mask)
    mask[90:110, 200:220] = 2
    found = measure(mask)
    assert before["cup_touches_background"] is False
    assert found["cup_touches_background"] is True
    assert (found["disc_components"], found["cup_components"]) == (2, 2)
    assert found["disc_width_pixels"] == 220 - 50
    rim = [name for name in found if name.startswith("rim_") and not math.isnan(found[name])]
    assert len(rim) == 2 * (12 + 2) + 2
    assert [found[name] for name in rim] == [before[name] for name in rim]


def test_a_cup_at_the_edge_of_the_frame_touches_the_background():
    mask = np.ones((20, 20), dtype=np.uint8)
    mask[5:15, :5] = 2
    assert measure(mask)["cup_touches_background"] is True


def test_keys_do_not_depend_on_the_mask():
    full = measure(ellipses(disc=(80, 70), cup=(30, 30)), (0.01, 0.01), "R")
    assert list(full) == list(measure(np.zeros((9, 9), dtype=np.uint8)))
    assert len(full) == 4 + 12 + 12 * 3 + 4 * 3 + 4 + 3


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((np.full((4, 4), 3, dtype=np.uint8),), "0 background, 1 rim, 2 cup. Got: .* from 3 to 3"),
        ((np.zeros((4, 4, 3), dtype=np.uint8),), "Got: 3 dimensions"),
        ((np.ones((4, 4), dtype=np.uint8), (0.0, 0.1)), "spacing above 0 mm. Got: .0.0, 0.1."),
        ((np.ones((4, 4), dtype=np.uint8), None, "OD"), "R, L or none. Got: 'OD'"),
    ],
)
def test_wrong_arguments_are_named(arguments, message):
    with pytest.raises(InputError, match=message):
        measure(*arguments)
