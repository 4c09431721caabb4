import math

import numpy as np
import pytest

from fundus_uda.masks.measurements import measure
from fundus_uda.masks.rim import disc_damage_stage
from tests.fixtures.shapes import ellipses

PIXEL = 0.75  # of a ray's end, between the pixels of an outline


def test_concentric_circles_have_the_same_rim_all_around():
    found = measure(ellipses(disc=(80, 80), cup=(40, 40)), (0.01, 0.01), "R")
    for direction in [f"clock_{hour}" for hour in range(1, 13)] + ["superior", "nasal"]:
        assert found[f"rim_{direction}_pixels"] == pytest.approx(40, abs=PIXEL)
        assert found[f"rim_{direction}_mm"] == pytest.approx(0.4, abs=0.01 * PIXEL)
        assert found[f"rim_{direction}_ratio"] == pytest.approx(0.25, abs=0.006)
    assert found["rim_narrowest_ratio"] == pytest.approx(0.25, abs=0.01)
    assert found["rim_absent_degrees"] == 0
    assert found["isnt_rule"] is True


def test_the_clock_has_twelve_at_the_top_and_three_at_the_right():
    found = measure(ellipses(disc=(80, 80), cup=(30, 30), cup_shift=(-30, 0)))
    hours = [found[f"rim_clock_{hour}_pixels"] for hour in range(1, 13)]
    # Around 12 and 6 the sector's mean is of the shifted circle's distance, which is known.
    assert hours[11] == pytest.approx(_rim_of_shifted_cup(80, 30, 30, 0), abs=PIXEL)
    assert hours[5] == pytest.approx(80, abs=PIXEL)
    assert hours[1] == pytest.approx(_rim_of_shifted_cup(80, 30, 30, 60), abs=PIXEL)
    assert hours.index(min(hours)) == 11
    right = measure(ellipses(disc=(80, 80), cup=(30, 30), cup_shift=(0, 30)))
    hours = [right[f"rim_clock_{hour}_pixels"] for hour in range(1, 13)]
    assert hours.index(min(hours)) == 2
    assert right["rim_clock_9_pixels"] == pytest.approx(80, abs=PIXEL)


def _rim_of_shifted_cup(disc, cup, shift, middle):
    """Mean over 30 degrees, from the law of cosines; the cup is shifted towards 0 degrees."""
    angle = np.radians(np.linspace(middle - 15, middle + 15, 1000))
    edge = shift * np.cos(angle) + np.sqrt((cup**2 - (shift * np.sin(angle)) ** 2).clip(0))
    edge[(shift * np.abs(np.sin(angle)) > cup) | (edge < 0)] = 0
    return float(np.mean(disc - edge))


def test_nasal_is_right_in_a_right_eye_and_left_in_a_left_one():
    mask = ellipses(disc=(80, 80), cup=(30, 30), cup_shift=(0, 30))
    right, left, unknown = (measure(mask, laterality=side) for side in ("R", "L", None))
    assert right["rim_nasal_pixels"] < right["rim_temporal_pixels"]
    assert left["rim_temporal_pixels"] == right["rim_nasal_pixels"]
    assert left["rim_nasal_pixels"] == right["rim_temporal_pixels"]
    assert left["rim_superior_pixels"] == unknown["rim_superior_pixels"]
    assert math.isnan(unknown["rim_nasal_pixels"])
    assert unknown["isnt_rule"] is None


def test_the_isnt_rule_needs_every_step_of_the_order():
    # Rims by construction: below 30, above 20, right 15, left 10.
    mask = np.zeros((200, 200), dtype=np.uint8)
    mask[40:160, 40:160], mask[60:130, 50:145] = 1, 2
    assert measure(mask, laterality="R")["isnt_rule"] is True
    assert measure(mask, laterality="L")["isnt_rule"] is False
    assert measure(mask[::-1], laterality="R")["isnt_rule"] is False


def test_pixels_that_are_no_squares_are_measured_in_millimetres():
    """A circle on the retina, whose pixels are twice as high as wide."""
    found = measure(ellipses(disc=(40, 80), cup=(20, 40)), (0.02, 0.01), "L")
    for direction in ("superior", "inferior", "nasal", "temporal", "clock_2", "clock_7"):
        assert found[f"rim_{direction}_mm"] == pytest.approx(0.4, abs=0.02)
        assert found[f"rim_{direction}_ratio"] == pytest.approx(0.25, abs=0.012)
    assert found["rim_clock_3_pixels"] == pytest.approx(40, abs=1)
    assert found["rim_clock_12_pixels"] == pytest.approx(20, abs=1.5)
    assert found["isnt_rule"] is True


def test_a_notch_is_the_narrowest_rim_and_counts_its_degrees():
    mask = ellipses(disc=(80, 80), cup=(40, 40))
    y, x = np.mgrid[:200, :300] + 0.5
    clockwise = np.degrees(np.arctan2(x - 150, 100 - y))
    wedge = (clockwise > 30) & (clockwise < 90)
    shallow, through = mask.copy(), mask.copy()
    shallow[wedge & (np.hypot(y - 100, x - 150) < 64)] = 2
    through[wedge & (mask == 1)] = 2
    found = measure(shallow, (0.011, 0.011))
    assert found["rim_narrowest_ratio"] == pytest.approx(0.1, abs=0.01)
    assert found["rim_clock_2_pixels"] == pytest.approx(16, abs=PIXEL)
    assert found["rim_clock_8_pixels"] == pytest.approx(40, abs=PIXEL)
    assert found["rim_absent_degrees"] == 0
    assert found["cup_touches_background"] is False
    found = measure(through, (0.011, 0.011))
    assert found["rim_narrowest_ratio"] == 0
    assert found["rim_absent_degrees"] == pytest.approx(60, abs=2)
    assert found["cup_touches_background"] is True
    assert found["ddls_stage"] == 7  # 46 to 90 degrees, disc of 1.76 mm


def test_the_ratio_is_to_the_whole_diameter_on_the_same_axis():
    """A half disc without a cup, whose centroid is 4 R / (3 pi) below its flat side."""
    mask = ellipses(disc=(90, 90))
    mask[:100] = 0
    found = measure(mask)
    below = 4 * 90 / (3 * math.pi)
    angle = np.radians(np.linspace(-15, 15, 1000))
    up = below / np.cos(angle)
    down = np.sqrt(90**2 - (below * np.sin(angle)) ** 2) - below * np.cos(angle)
    assert found["rim_clock_12_ratio"] == pytest.approx((up / (up + down)).mean(), abs=0.01)
    assert found["rim_clock_6_ratio"] == pytest.approx((down / (up + down)).mean(), abs=0.01)
    assert found["rim_clock_6_pixels"] == pytest.approx(down.mean(), abs=PIXEL)


def test_the_disc_damage_scale_by_the_size_of_the_disc():
    mask = ellipses(disc=(80, 80), cup=(40, 40))  # a ratio of 0.25 all around
    stages = [measure(mask, (mm, mm))["ddls_stage"] for mm in (1.4 / 160, 1.8 / 160, 2.2 / 160)]
    assert stages == [4, 3, 2]
    assert math.isnan(measure(mask)["ddls_stage"])


def test_the_stage_is_that_of_the_largest_part():
    mask = ellipses(disc=(80, 80), cup=(40, 40))
    with_speck = mask.copy()
    with_speck[:8, :8] = 1
    stages = [measure(m, (1.9 / 160, 1.9 / 160))["ddls_stage"] for m in (mask, with_speck)]
    assert stages == [3, 3]


def test_a_disc_without_a_cup_is_of_the_first_stage():
    mask = ellipses(disc=(90, 90))
    mask[:100] = 0  # off its centroid, the narrowest rim is 0.42 of the diameter
    assert measure(mask, (0.01, 0.01))["ddls_stage"] == 1


@pytest.mark.parametrize(
    ("ratio", "degrees", "small", "average", "large"),
    [
        (0.5, 0, 1, 1, 1),
        (0.4, 0, 2, 1, 1),
        (0.39, 0, 3, 2, 1),
        (0.3, 0, 3, 2, 1),
        (0.2, 0, 4, 3, 2),
        (0.1, 0, 5, 4, 3),
        (0.05, 0, 6, 5, 4),
        (0, 30, 7, 6, 5),
        (0, 60, 8, 7, 6),
        (0, 120, 9, 8, 7),
        (0, 200, 10, 9, 8),
        (0, 300, 10, 10, 9),
    ],
)
def test_the_published_table(ratio, degrees, small, average, large):
    assert disc_damage_stage(ratio, degrees, 1.4) == small
    assert disc_damage_stage(ratio, degrees, 1.5) == average
    assert disc_damage_stage(ratio, degrees, 2.0) == average
    assert disc_damage_stage(ratio, degrees, 2.1) == large


def test_a_crescent_has_no_rim_measures():
    mask = ellipses(disc=(80, 80))
    mask[ellipses(disc=(75, 75), disc_centre=(100, 165)) == 1] = 0
    found = measure(mask, (0.01, 0.01), "R")
    assert found["disc_height_pixels"] > 100
    assert all(math.isnan(found[name]) for name in found if name.startswith("rim_"))
    assert math.isnan(found["ddls_stage"])


def test_a_disc_that_fills_the_frame_is_measured_to_its_edge():
    found = measure(np.ones((40, 40), dtype=np.uint8))
    assert found["rim_clock_12_pixels"] == pytest.approx(20 * 1.0115, abs=PIXEL)
