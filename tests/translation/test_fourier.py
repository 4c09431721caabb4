import numpy as np
import pytest

from fundus_uda.translation.fourier import exchange_amplitude

RNG = np.random.default_rng(0)
PHOTOGRAPH = RNG.uniform(0, 255, (12, 9, 3))
OTHER = RNG.uniform(0, 255, (12, 9, 3))


def amplitude(image):
    return np.abs(np.fft.fft2(image, axes=(0, 1)))


def test_the_lowest_band_of_a_small_image_is_its_mean_colour():
    source, target = np.array([[0.0, 4.0], [8.0, 4.0]]), np.full((2, 2), 10.0)
    translated = exchange_amplitude(source[..., None], target[..., None], 0.1)[..., 0]
    assert translated == pytest.approx(source - 4 + 10)  # by hand: means 4 and 10


def test_low_amplitudes_are_the_targets_and_high_ones_the_sources():
    """At a beta of 0.2, rows 0, 1, 2 of 12 and columns 0, 1 of 9 cycles, and their negatives."""
    result = amplitude(exchange_amplitude(PHOTOGRAPH, OTHER, 0.2))
    low = np.ix_([0, 1, 2, -2, -1], [0, 1, -1])
    assert result[low] == pytest.approx(amplitude(OTHER)[low])
    high = np.ones((12, 9), bool)
    high[low] = False
    assert result[high] == pytest.approx(amplitude(PHOTOGRAPH)[high])


def test_phases_are_the_sources():
    def phase(image):
        return np.angle(np.fft.fft2(image, axes=(0, 1)))

    translated = exchange_amplitude(PHOTOGRAPH, OTHER, 0.2)
    turn = np.exp(1j * (phase(translated) - phase(PHOTOGRAPH)))
    assert turn == pytest.approx(np.ones_like(turn))


def test_beta_0_changes_nothing():
    assert np.array_equal(exchange_amplitude(PHOTOGRAPH, OTHER, 0), PHOTOGRAPH)


def test_beta_one_half_exchanges_all_amplitudes():
    result = exchange_amplitude(PHOTOGRAPH, OTHER, 0.5)
    assert amplitude(result) == pytest.approx(amplitude(OTHER))


@pytest.mark.parametrize("beta", [0, 0.01, 0.1, 0.5])
def test_an_image_in_its_own_style_is_itself(beta):
    assert exchange_amplitude(PHOTOGRAPH, PHOTOGRAPH, beta) == pytest.approx(PHOTOGRAPH)


def test_a_target_of_another_size_is_resized():
    uniform = np.full((5, 20, 3), 77.0)
    translated = exchange_amplitude(PHOTOGRAPH, uniform, 0.01)
    assert translated.shape == PHOTOGRAPH.shape
    assert translated.mean(axis=(0, 1)) == pytest.approx(77)


@pytest.mark.parametrize("beta", [-0.1, 0.6])
def test_a_beta_out_of_range_is_refused(beta):
    with pytest.raises(ValueError, match=r"Expected beta in \[0, 0.5\]"):
        exchange_amplitude(PHOTOGRAPH, OTHER, beta)


def test_images_of_other_channels_are_refused():
    with pytest.raises(ValueError, match=r"as many channels. Got: \(12, 9, 3\) and \(12, 9, 1\)"):
        exchange_amplitude(PHOTOGRAPH, OTHER[..., :1], 0.1)
