"""Distractors: drusen, exudates, haemorrhages, pigment spots and myelinated nerve fibres.

They are no part of disc or cup, and a network must not take them for one.
"""

import numpy as np
from numpy.typing import NDArray

from fundus_uda.rendering.background import BLOOD, MELANIN, planes
from fundus_uda.rendering.noise import FloatImage, ramp, smooth_noise


def add_lesions(
    rng: np.random.Generator, density: FloatImage, level: FloatImage, turn: FloatImage,
    streaks: FloatImage, pixel: float,
) -> FloatImage:  # fmt: skip
    """Add spots to a third of the eyes, and myelinated fibres to a few.

    Args:
        rng: generator.
        density: (3, H, W), from `rendering.background`.
        level: level of the disc (H, W).
        turn: angle at the disc in turns (H, W).
        streaks: striations of nerve fibres (H, W).
        pixel: side of a pixel in millimetres.

    Returns:
        (3, H, W).
    """
    if rng.random() < 0.3:
        density = _add_spots(rng, density, level, pixel)
    if rng.random() < 0.03:
        density = _add_myelin(rng, density, level, turn, streaks)
    return density


def _add_spots(
    rng: np.random.Generator, density: FloatImage, level: FloatImage, pixel: float
) -> FloatImage:
    """Add spots of one kind outside the disc.

    Small drusen are below 0.063 mm and large ones above 0.125 mm (the Wisconsin grading of Klein et
    al., Ophthalmology 1991).
    """
    kind = rng.choice(["drusen", "exudates", "haemorrhages", "pigment"])
    smallest, largest = {
        "drusen": (0.03, 0.09),
        "exudates": (0.03, 0.14),
        "haemorrhages": (0.05, 0.3),
        "pigment": (0.04, 0.25),
    }[kind]
    size = density.shape[1]
    amount = np.zeros((size, size), np.float32)
    middle = rng.uniform(0, size, 2)
    for _ in range(rng.integers(2, 30 if kind in ("drusen", "exudates") else 7)):
        place = middle + rng.normal(0, 0.25 * size, 2)
        radius = rng.uniform(smallest, largest) / pixel
        _stamp(amount, place, radius, rng.uniform(0.6, 1.6), rng.uniform(0, np.pi))
    amount *= ramp(level, 1.02, 1.1)
    strength = np.float32(rng.uniform(0.3, 1.0))
    if kind == "haemorrhages":
        return density + planes(BLOOD, strength * 1.1 * amount)
    if kind == "pigment":
        return density + planes(MELANIN, strength * 1.2 * amount)
    return density * (1 - 0.7 * strength * amount)


def _stamp(
    amount: FloatImage, place: NDArray[np.float64], radius: float, aspect: float, turn: float
) -> None:
    """Draw a soft spot into `amount`."""
    reach = int(np.ceil(radius * max(aspect, 1 / aspect) * 1.3)) + 1
    top, left = (max(int(value) - reach, 0) for value in place)
    bottom, right = (int(value) + reach for value in place)
    part = amount[top : max(bottom, 0), left : max(right, 0)]
    if not part.size:
        return
    y, x = np.mgrid[top : top + part.shape[0], left : left + part.shape[1]].astype(np.float32)
    y, x = y - np.float32(place[0]), x - np.float32(place[1])
    along, across = x * np.cos(turn) + y * np.sin(turn), y * np.cos(turn) - x * np.sin(turn)
    distance = np.hypot(along / aspect, across * aspect) / max(radius, 0.7)
    np.maximum(part, ramp(-distance.astype(np.float32), -1.3, -0.7), out=part)


def _add_myelin(
    rng: np.random.Generator, density: FloatImage, level: FloatImage, turn: FloatImage,
    streaks: FloatImage,
) -> FloatImage:  # fmt: skip
    """Add a patch of myelinated nerve fibres, feathery and white, that adjoins the disc."""
    at = rng.choice([0.25, 0.75]) + rng.normal(0, 0.08)
    off = np.abs((turn - at + 0.5) % 1 - 0.5) / rng.uniform(0.04, 0.12)
    length = rng.uniform(0.2, 1.2) * np.exp(-(off**2))
    uneven = 0.25 * streaks + 0.25 * smooth_noise(rng, len(level), 12)
    patch = ramp(length * (1 + uneven) - (level - 0.97), 0, 0.25) * ramp(level, 0.93, 1.0)
    return density * (1 - rng.uniform(0.6, 0.9) * patch * ramp(off, 3, 1.5))
