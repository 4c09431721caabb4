import numpy as np
import pytest

from fundus_uda.rendering.noise import fractal_noise, ramp, smooth_noise


@pytest.mark.parametrize("cells", [0.7, 8, 31.5])
def test_a_smooth_field_is_standard_normal_and_varies_over_its_cells(cells):
    fields = np.stack([smooth_noise(np.random.default_rng(seed), 64, cells) for seed in range(99)])
    assert fields.dtype == np.float32
    assert fields.std() == pytest.approx(1, abs=0.15)
    assert fields.mean() == pytest.approx(0, abs=0.15)
    step = np.abs(np.diff(fields, axis=1)).mean()
    assert 0.3 * cells / 64 < step < 2 * cells / 64


def test_octaves_add_detail_and_no_strength():
    fields = [fractal_noise(np.random.default_rng(s), 64, 4, 3) for s in range(30)]
    smooth = [smooth_noise(np.random.default_rng(s), 64, 4) for s in range(30)]
    assert np.std(fields) == pytest.approx(1, abs=0.15)
    assert np.abs(np.diff(fields, axis=1)).mean() > np.abs(np.diff(smooth, axis=1)).mean()


def test_a_ramp_is_smooth_between_its_ends():
    values = np.array([-1, 0, 0.5, 1, 2], np.float32)
    assert ramp(values, 0, 1) == pytest.approx([0, 0, 0.5, 1, 1])
