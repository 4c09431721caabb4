import numpy as np
import pytest

from fundus_uda.rendering.view import View


@pytest.mark.parametrize("left", [True, False])
def test_places_of_pixels_and_pixels_of_places_are_inverse(left):
    view = View(size=32, side=3.0, centre=(0.4, -0.3), turn=0.2, left=left)
    x, y = view.grid()
    pixels = view.to_pixels(np.stack([x, y], axis=-1).astype(float))
    rows, columns = np.mgrid[:32, :32] + 0.5
    assert pixels[..., 0] == pytest.approx(columns, abs=1e-4)
    assert pixels[..., 1] == pytest.approx(rows, abs=1e-4)


def test_the_macula_lies_to_the_right_in_a_left_eye():
    for left in (True, False):
        x, _ = View(size=8, side=3.0, centre=(0.0, 0.0), turn=0.0, left=left).grid()
        assert (x[0, -1] > x[0, 0]) == left
