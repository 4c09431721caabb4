"""The surface of the disc: a rim of nerve fibres and blood, and the pale floor of the cup."""

import numpy as np

from fundus_uda.rendering.anatomy import Outline
from fundus_uda.rendering.background import BLOOD, MELANIN, planes
from fundus_uda.rendering.noise import FloatImage, fractal_noise, ramp, smooth_noise


def disc_surface(
    rng: np.random.Generator, cup: Outline, level: FloatImage, turn: FloatImage,
    depth: FloatImage, places: tuple[FloatImage, FloatImage], textured: bool,
) -> tuple[FloatImage, FloatImage]:  # fmt: skip
    """Compute the colour of the disc, as a density (see `rendering.background`).

    Args:
        rng: generator.
        cup: outline of the cup.
        level: level of the disc (H, W).
        turn: angle at the disc in turns (H, W).
        depth: depth of the cup (H, W).
        places: place x and y of each pixel.
        textured: whether rim and floor are uneven.

    Returns:
        Where the disc is (H, W), in [0, 1]; the density of its surface (3, H, W).
    """
    temporal = np.cos(np.float32(2 * np.pi) * turn)
    soft = float(np.exp(rng.uniform(np.log(0.02), np.log(0.14))))
    softness = soft * (1 + rng.uniform(0, 1.5) * ramp(-temporal, -0.5, 1.0)) + 0.004
    jitter = 0.25 * soft * fractal_noise(rng, len(level), 16, 2)
    # Readers draw the outline around all of a soft border: it ends, and does not begin, there.
    inside = ramp((1 - level + jitter) / softness, -0.4, 1.6)
    pallor = _pallor(rng, cup, depth, *places)
    blood = _rim_blood(rng, temporal, textured) * (1 - pallor) + rng.uniform(0, 0.12) * pallor
    grey = 0.6 * rng.uniform(0.2, 1.0) * (1 - pallor)
    if textured and rng.random() < 0.5:  # pores of the lamina cribrosa
        pores = ramp(smooth_noise(rng, len(level), rng.uniform(30, 50)), 0.4, 1.6)
        grey = grey + rng.uniform(0.05, 0.3) * pores * pallor**2
    grey = grey + rng.uniform(0, 0.25) * (rng.random() < 0.6) * _steepness(depth)
    surface = planes(BLOOD, blood) + planes(MELANIN, grey)
    # The ring of sclera around the nerve, which is seen where the retina ends before the disc.
    ring = np.exp(-(((level - rng.uniform(0.98, 1.04)) / rng.uniform(0.012, 0.04)) ** 2))
    ring = ring * rng.uniform(0, 0.6) * ramp(temporal, -0.6, 1.0) * (rng.random() < 0.6)
    return inside, surface * (1 - ring)


def _pallor(
    rng: np.random.Generator, cup: Outline, depth: FloatImage, x: FloatImage, y: FloatImage
) -> FloatImage:
    """Compute where the floor is pale: most in the temporal part of the cup, away from vessels.

    Cup and pallor differ in size and place, so that readers look at the bend of vessels, too.
    """
    share = rng.uniform(0.6, 1.05)
    away = max(1 - share, 0.0) * float(cup.radii.mean()) * rng.uniform(0.2, 1.0)
    core = Outline(cup.x + away, cup.y + rng.normal(0, 0.2) * away, cup.radii * np.float32(share))
    bright = ramp((1 - core.level(x, y)) / rng.uniform(0.25, 1.0), -0.4, 0.6)
    mix = rng.uniform(0.1, 0.85)
    return depth * (1 - mix + mix * bright)


def _rim_blood(rng: np.random.Generator, temporal: FloatImage, textured: bool) -> FloatImage:
    """Compute the blood of the rim: least on the temporal side, and little in a pale disc."""
    pale = rng.uniform(0, 0.35) * (rng.random() < 0.4)
    blood = rng.uniform(0.7, 2.0) * (1 - pale)
    amount = blood * (1 - rng.uniform(0, 0.45) * ramp(temporal, -0.3, 1.0))
    if rng.random() < 0.5:  # the thin rim beside the macula may be as pale as the cup
        amount = amount * (1 - rng.uniform(0.2, 0.9) * ramp(temporal, rng.uniform(0, 0.8), 1.0))
    amount = amount * (1 + rng.uniform(0, 0.35) * ramp(-temporal, -0.2, 1.0))
    if textured:
        uneven = rng.uniform(0.02, 0.14) * fractal_noise(rng, len(temporal), 8, 3)
        amount = amount * (1 + uneven)
    return amount.clip(0)


def _steepness(depth: FloatImage) -> FloatImage:
    down, right = np.gradient(depth)
    steep: FloatImage = np.minimum(np.hypot(down, right) * np.float32(len(depth) / 20), 1)
    return steep
