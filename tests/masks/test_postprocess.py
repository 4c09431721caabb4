import numpy as np
from skimage.morphology import convex_hull_image

from fundus_uda.masks.postprocess import fill_cup_hull, remove_small_components


def test_a_convex_cup_stays_inside_the_disc():
    mask = np.zeros((40, 40), dtype=np.uint8)
    mask[5:35, 5:20], mask[20:35, 20:35] = 1, 1  # an L
    mask[8, 15], mask[30, 32] = 2, 2
    filled = fill_cup_hull(mask)
    assert np.array_equal(filled != 0, mask != 0)
    assert filled[25, 28] == 2  # between the two
    assert filled[17, 22] == 0  # so is this, outside the disc


def test_the_hull_is_that_of_the_whole_mask():
    """Though it is computed within the box around the cup, which may touch the mask's border."""
    for seed in range(20):
        rng = np.random.default_rng(seed)
        mask = np.ones((30, 41), dtype=np.uint8)
        mask[rng.integers(0, 30, 6), rng.integers(0, 41, 6)] = 2
        assert np.array_equal(fill_cup_hull(mask) == 2, convex_hull_image(mask == 2))


def test_a_mask_without_cup_stays_as_it_is():
    mask = np.ones((5, 5), dtype=np.uint8)
    assert np.array_equal(fill_cup_hull(mask), mask)


def test_specks_go_and_large_parts_stay():
    mask = np.zeros((60, 60), dtype=np.uint8)
    mask[10:40, 10:40], mask[20:30, 20:30] = 1, 2
    mask[12, 12] = 2  # a speck of cup becomes rim
    mask[50:58, 50:58] = 1  # 64 of 900 pixels
    expected = mask.copy()
    expected[12, 12] = 1
    mask[2, 2] = 1
    assert np.array_equal(remove_small_components(mask), expected)
    assert not remove_small_components(np.zeros((5, 5), dtype=np.uint8)).any()
