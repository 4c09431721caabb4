import numpy as np
import pytest
from scipy import ndimage

from fundus_uda.clinic.disc_evidence import _smooth, _windows, _WindowSums

VALUES = np.random.default_rng(0).normal(size=(90, 133)).astype(np.float32)


@pytest.mark.parametrize("shape", [(90, 133), (20, 33)])  # the second smaller than a window
@pytest.mark.parametrize("name", _windows())
def test_window_sums_are_weighted_sums_with_nothing_beyond_the_border(name, shape):
    values = VALUES[: shape[0], : shape[1]]
    (sums,) = _WindowSums(shape).of(values, name)
    expected = ndimage.correlate(values.astype(np.float64), _windows()[name], mode="constant")
    np.testing.assert_allclose(sums, expected, atol=1e-3)
    assert sums.dtype == np.float32


def test_smoothing_is_a_gaussian_filter():
    expected = ndimage.gaussian_filter(VALUES.astype(np.float64), 16)
    np.testing.assert_allclose(_smooth(VALUES, 16), expected, atol=1e-6)
