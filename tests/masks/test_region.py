import numpy as np
import pytest

from fundus_uda.masks.region import DiscRegion, are_whole_photographs, disc_diameter
from tests.fixtures.shapes import ellipses


def test_crop_and_paste_are_inverse_beyond_the_border_too():
    rng = np.random.default_rng(0)
    image = rng.integers(1, 255, (50, 80, 3)).astype(np.uint8)
    region = DiscRegion((5.0, 70.0), 24.0, (-15, 25), (50, 90), is_crop=False)
    crop = region.crop(image)
    assert crop.shape == (40, 40, 3)
    assert np.array_equal(crop[15:, :30], image[:25, 50:])
    assert crop[:15].max() == crop[:, 30:].max() == 0
    mask = rng.integers(0, 3, (50, 80)).astype(np.uint8)
    back = region.paste(region.crop(mask), (50, 80))
    assert np.array_equal(back[:25, 50:], mask[:25, 50:])
    assert back[25:].max() == back[:, :50].max() == 0


@pytest.mark.parametrize("shape", [(200, 300), (300, 200)])
def test_the_diameter_is_a_share_of_the_shorter_side(shape):
    assert disc_diameter(ellipses((33, 33), (10, 10), shape=shape)) == pytest.approx(0.33, abs=1e-3)
    assert disc_diameter(np.zeros(shape, dtype=np.uint8)) == 0


@pytest.mark.parametrize(
    ("diameters", "whole"),
    [
        ([0.29], True),
        ([0.3], False),
        ([0.2, 0.29, 0.5], True),
        ([0.2, 0.3, 0.3], False),
        ([], False),
    ],
)
def test_photographs_are_whole_where_the_median_disc_is_small(diameters, whole):
    assert are_whole_photographs(diameters) is whole
