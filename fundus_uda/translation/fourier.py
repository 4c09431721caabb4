"""Fourier domain adaptation: the low frequencies of one image take another's amplitudes."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from skimage.transform import resize


def exchange_amplitude(
    source: NDArray[Any], target: NDArray[Any], beta: float
) -> NDArray[np.float64]:
    r"""Compute Eq. 3 of FDA: the source's phase, with the target's low-frequency amplitudes.

    .. math:: x^{s \to t} = F^{-1}([M_\beta \circ F^A(x^t) + (1 - M_\beta) \circ F^A(x^s),
              F^P(x^s)])

    M_beta is 1 up to `beta` cycles per pixel along both axes, and 0 elsewhere.
    Yang and Soatto, "FDA: Fourier Domain Adaptation for Semantic Segmentation", CVPR 2020.

    Args:
        source: x^s, (H, W, channels), in any range.
        target: x^t, (H, W, channels) with as many channels and in the same range as `source`;
            resized to the size of `source` if it has another.
        beta: in [0, 0.5]. 0 leaves the source as it is; 0.5 exchanges all amplitudes.

    Returns:
        (H, W, channels) in about the range of `source`, unclipped.

    Raises:
        ValueError: different numbers of channels, or `beta` out of range.
    """
    if not 0 <= beta <= 0.5:
        raise ValueError(f"Expected beta in [0, 0.5]. Got: {beta}.")
    if source.ndim != 3 or source.shape[2:] != target.shape[2:]:
        raise ValueError(
            f"Expected two images (H, W, channels) with as many channels. "
            f"Got: {source.shape} and {target.shape}."
        )
    if beta == 0:
        return source.astype(np.float64)
    height, width = source.shape[:2]
    if target.shape != source.shape:
        target = resize(target, (height, width), preserve_range=True, anti_aliasing=True)
    spectrum_s, spectrum_t = (np.fft.rfft2(image, axes=(0, 1)) for image in (source, target))
    low = np.fft.fftfreq(height)[:, None], np.fft.rfftfreq(width)
    mask = (np.abs(low[0]) <= beta) & (low[1] <= beta)
    amplitude = np.where(mask[..., None], np.abs(spectrum_t), np.abs(spectrum_s))
    mixed = amplitude * np.exp(1j * np.angle(spectrum_s))
    translated: NDArray[np.float64] = np.fft.irfft2(mixed, s=(height, width), axes=(0, 1))
    return translated
