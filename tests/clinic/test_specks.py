import numpy as np

from fundus_uda.clinic.specks import without_specks


def test_specks_go_and_large_parts_stay():
    mask = np.zeros((60, 60), dtype=np.uint8)
    mask[10:40, 10:40], mask[20:30, 20:30] = 1, 2
    mask[12, 12] = 2  # a speck of cup becomes rim
    mask[50:58, 50:58] = 1  # 64 of 900 pixels
    expected = mask.copy()
    expected[12, 12] = 1
    mask[2, 2] = 1
    assert np.array_equal(without_specks(mask), expected)
    assert not without_specks(np.zeros((5, 5), dtype=np.uint8)).any()
