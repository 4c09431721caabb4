import math

import numpy as np
import pytest

from fundus_uda.clinic.measurements import (
    refuge_vertical_cup_to_disc_ratio,
    vertical_cup_to_disc_ratio,
)


def ellipses(disc, cup, shape=(200, 300)) -> np.ndarray:
    """A mask of two centred ellipses, (half height, half width) each."""
    y, x = np.mgrid[: shape[0], : shape[1]] + 0.5
    y, x = y - shape[0] / 2, x - shape[1] / 2
    mask = np.zeros(shape, dtype=np.uint8)
    mask[np.hypot(y / disc[0], x / disc[1]) < 1] = 1
    mask[np.hypot(y / cup[0], x / cup[1]) < 1] = 2
    return mask


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
