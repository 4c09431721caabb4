"""The retina around the disc: choroid, pigment, nerve fibres, macula, and atrophy beside the disc.

Colours are optical densities of red, green and blue, planes (3, H, W): light that comes back is
exp(-density), and 0 is the white of the sclera.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fundus_uda.rendering.noise import FloatImage, fractal_noise, ramp, smooth_noise

BLOOD = np.array([0.42, 1.15, 1.05], np.float32)
"""Density of blood: haemoglobin lets red through (Delori and Pflibsen, Appl. Opt. 1989)."""
MELANIN = np.array([0.75, 1.0, 1.2], np.float32)
"""Density of the pigment of epithelium and choroid, which falls with the wavelength."""
XANTHOPHYLL = np.array([0.0, 0.25, 0.9], np.float32)
"""Density of the yellow pigment of the macula."""
VEIL = np.array([0.75, 0.9, 0.8], np.float32)
"""Colour of the light that nerve fibres scatter back."""


@dataclass(frozen=True)
class Background:
    """Parameters of the retina around the disc."""

    melanin: float
    """Density of the pigment, from blond to dark."""
    blood: float
    """Density of the choroid's blood."""
    mottling: float
    """Unevenness of the pigment, as a share of it."""
    tessellation: float
    """Strength with which the vessels of the choroid are seen."""
    fibres: float
    """Strength of the striations of nerve fibres."""
    veil: float
    """Strength of the grey reflection of nerve fibres near the disc."""
    macula: float
    """Strength of the pigment of the macula."""


@dataclass(frozen=True)
class Atrophy:
    """Atrophy beside the disc: the pale beta zone, and the pigmented alpha zone around it."""

    at: float
    """Direction of its widest part in radians."""
    span: float
    """Angle over which it falls off, in radians."""
    beta: float
    """Width of the pale zone in radii of the disc."""
    alpha: float
    """Width of the pigmented zone in radii of the disc."""
    pale: float
    """How much of the pigment the beta zone lacks, in [0, 1]."""
    dark: float
    """Density of the pigment in the alpha zone."""
    roughness: float
    """Unevenness of the borders."""
    soft: float
    """Softness of the border of the beta zone in radii of the disc."""


def draw_background(rng: np.random.Generator, dark: float, textured: bool) -> Background:
    """Draw the look of a retina, from blond to dark.

    Args:
        rng: generator.
        dark: density of the disc to red light, than which the retina is darker.
        textured: whether it is uneven.
    """
    meshed = rng.random() < 0.45
    return Background(
        melanin=(dark + rng.uniform(0.4, 2.1)) / float(MELANIN[0]),
        blood=rng.uniform(0.05, 0.6),
        mottling=rng.uniform(0.03, 0.22) * textured,
        tessellation=rng.uniform(0.05, 0.55) * meshed * textured,
        fibres=rng.uniform(0.0, 0.14) * textured,
        veil=rng.uniform(0.0, 0.06),
        macula=rng.uniform(0.4, 1.2),
    )


def draw_atrophy(rng: np.random.Generator) -> Atrophy | None:
    """Draw the atrophy beside a disc, if there is any.

    Its alpha zone is found in most eyes and its beta zone in a fifth, more often in glaucoma and
    myopia, most of them on the temporal side (Jonas et al., Invest. Ophthalmol. Vis. Sci. 1989).
    Here both are as frequent as in eyes with glaucoma.
    """
    if rng.random() < 0.4:
        return None
    return Atrophy(
        at=float(rng.normal(0.2, 0.6)),
        span=3.0 if rng.random() < 0.15 else rng.uniform(0.5, 1.3),
        beta=rng.uniform(0.03, 0.45) * (rng.random() < 0.7),
        alpha=rng.uniform(0.03, 0.3) * (rng.random() < 0.7),
        pale=rng.uniform(0.35, 0.85),
        dark=rng.uniform(0.2, 1.2),
        roughness=rng.uniform(0.05, 0.3),
        soft=rng.uniform(0.015, 0.08),
    )


def planes(density: NDArray[np.float32], of: FloatImage) -> FloatImage:
    """Return the planes (3, H, W) of a substance whose amount is (H, W)."""
    return density[:, None, None] * np.asarray(of, np.float32)[None]


def retina(
    rng: np.random.Generator, look: Background, x: FloatImage, y: FloatImage, side: float,
    fovea: tuple[float, float],
) -> FloatImage:  # fmt: skip
    """Compute the density of the retina without vessels.

    Args:
        rng: generator.
        look: parameters.
        x: place of each pixel (H, W) in millimetres.
        y: the same.
        side: side of the photograph in millimetres.
        fovea: place of the fovea.

    Returns:
        (3, H, W).
    """
    size = len(x)
    pigment = fractal_noise(rng, size, side * 0.5, 2) * 0.6
    pigment += fractal_noise(rng, size, side * 5, 3) * 0.4
    melanin = look.melanin * (1 + look.mottling * pigment)
    if look.tessellation > 0:
        melanin = melanin * (1 + look.tessellation * _choroid(rng, size, side))
    reddish = look.blood * (1 + 0.35 * smooth_noise(rng, size, side * 0.6))
    to_fovea = np.hypot(x - fovea[0], y - fovea[1])
    melanin = melanin + look.macula * 0.45 * np.exp(-((to_fovea / 0.75) ** 2))
    density = planes(MELANIN, melanin.clip(0.05)) + planes(BLOOD, reddish.clip(0.0))
    yellow = look.macula * np.exp(-((to_fovea / 0.5) ** 2))
    return density + planes(XANTHOPHYLL, yellow)


def _choroid(rng: np.random.Generator, size: int, side: float) -> FloatImage:
    """Draw the mesh of choroidal vessels: below 0 on a vessel, above 0 between them."""
    noise = smooth_noise(rng, size, side * 3.2) + 0.5 * smooth_noise(rng, size, side * 6.5)
    where = ramp(smooth_noise(rng, size, side * 0.5), -0.8, 1.0)
    lines = np.abs(noise)
    return (ramp(lines, 0.1, 0.7) - 0.6) * where


def fibre_streaks(rng: np.random.Generator, level: FloatImage, turn: FloatImage) -> FloatImage:
    """Draw the striations of nerve fibres: about standard normal values (H, W) along arcs.

    Args:
        rng: generator.
        level: level of the disc (H, W).
        turn: angle at the disc in turns (H, W).
    """
    bend = (level - 1) * np.float32(0.05)  # towards the macula, over and below it
    turn = turn + bend * np.where(turn > 0.5, 1, -1) * np.abs(np.sin(2 * np.pi * turn))
    count, rings = 256, 6
    table = rng.standard_normal((rings, count), np.float32)
    table += 0.8 * np.repeat(rng.standard_normal((rings, count // 4), np.float32), 4, axis=1)
    table = np.concatenate([table, table[:, :1]], axis=1)
    along = np.log2(np.maximum(level, 0.25)) * np.float32(1.2) + 2
    return _bilinear(table, along.clip(0, rings - 1.001), (turn - np.floor(turn)) * count)


def _bilinear(table: FloatImage, row: FloatImage, column: FloatImage) -> FloatImage:
    i, j = row.astype(np.int32), column.astype(np.int32)
    j = np.minimum(j, table.shape[1] - 2)
    u, v = row - i, column - j
    top = table[i, j] * (1 - v) + table[i, j + 1] * v
    bottom = table[i + 1, j] * (1 - v) + table[i + 1, j + 1] * v
    found: FloatImage = top * (1 - u) + bottom * u
    return found


def bundles(turn: FloatImage, beyond: FloatImage) -> FloatImage:
    """Compute the thickness of the nerve fibre layer (H, W): most above and below the disc.

    Args:
        turn: angle at the disc in turns, from the temporal side.
        beyond: distance from the disc's edge in radii of the disc.
    """
    angle = np.float32(2 * np.pi) * turn
    two_humps = 0.45 + 0.55 * np.sin(angle) ** 2
    thickness: FloatImage = two_humps * np.exp(-np.maximum(beyond, 0) / np.float32(1.1))
    return thickness


def add_atrophy(
    rng: np.random.Generator, density: FloatImage, zone: Atrophy, level: FloatImage,
    turn: FloatImage,
) -> FloatImage:  # fmt: skip
    """Let pigment be missing and heaped up beside the disc.

    Args:
        rng: generator.
        density: (3, H, W).
        zone: parameters.
        level: level of the disc (H, W).
        turn: angle at the disc in turns.

    Returns:
        (3, H, W).
    """
    size = len(level)
    off = np.abs((turn - zone.at / (2 * np.pi) + 0.5) % 1 - 0.5) * np.float32(2 * np.pi)
    width = np.exp(-((off / zone.span) ** 2))
    uneven = fractal_noise(rng, size, 10, 3) * zone.roughness
    beyond = level - 1
    pale = ramp(width * zone.beta * (1 + uneven) - beyond, -zone.soft, zone.soft) * (zone.beta > 0)
    outer = width * (zone.beta + zone.alpha) * (1 + 1.4 * uneven[::-1])
    dark = ramp(outer - beyond, -2 * zone.soft, 3 * zone.soft) * (1 - pale) * (zone.alpha > 0)
    sclera = np.abs(smooth_noise(rng, size, 10)) * np.float32(zone.roughness) + np.float32(0.12)
    kept = density * (1 - zone.pale * pale) + zone.pale * pale * planes(BLOOD, sclera)
    grain = 0.7 + 0.5 * smooth_noise(rng, size, 30)
    changed: FloatImage = kept + planes(MELANIN, zone.dark * dark * grain.clip(0))
    return changed


def with_fibres(
    light: FloatImage, look: Background, thickness: FloatImage, streaks: FloatImage,
    inside: FloatImage,
) -> FloatImage:  # fmt: skip
    """Let the nerve fibre layer be seen: streaks, and a grey veil that lies on vessels too.

    Args:
        light: light from the eye (3, H, W).
        look: parameters.
        thickness: from `bundles`.
        streaks: from `fibre_streaks`.
        inside: where the disc is (H, W), in [0, 1].
    """
    striped = 1 + look.fibres * thickness * streaks * (1 - inside)
    veil = look.veil * thickness * (1 - 0.75 * inside) * striped.clip(0)
    return light * striped + planes(VEIL, veil)
