import numpy as np

from fundus_uda.data.field import field_of_view
from tests.fixtures.fields import retina


def test_the_field_of_view_leaves_out_the_border_and_not_the_dark_macula():
    image = retina()
    image[180:220, 260:300] = 5
    y, x = np.mgrid[:400, :560]
    expected = np.hypot(y - 200, x - 280) < 0.42 * 560
    assert (field_of_view(image) == expected).mean() > 0.99
    assert field_of_view(image)[200, 280]
    assert field_of_view(np.full((20, 30, 3), 128, dtype=np.uint8)).all()


def test_the_field_of_view_is_all_but_black_at_the_edge():
    photograph = np.full((40, 40, 3), 60, np.uint8)
    photograph[:, :10] = 3  # the border
    photograph[:10, 25:, 0] = 14  # dark retina at the edge
    photograph[:10, 25:, 1:] = 0
    photograph[20:25, 25:30] = 0  # a black spot inside
    expected = np.ones((40, 40), bool)
    expected[:, :10] = False
    found = field_of_view(photograph)
    assert np.array_equal(found[2:-2], expected[2:-2])  # the border's corners are rounded
    assert found[:, 10:].all()
