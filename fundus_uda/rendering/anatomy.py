"""The shapes of disc and cup: outlines in polar coordinates, and the depth of the cup.

Coordinates are millimetres on the retina from the middle of the disc: x towards the macula (to the
temporal side), y down.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr, ndtri

from fundus_uda.rendering.noise import FloatImage, ramp

ANGLES = 720
"""Number of angles at which the radius of an outline is kept."""
WIDEST_CUP = 0.98
"""Largest level of the disc (see `Outline.level`) that a cup reaches, so that some rim is left."""


Eye = tuple["Outline", "Outline", NDArray[np.float32]]
"""Disc, cup, and the width of the cup's wall at each angle (see `cup_depth`)."""


def draw_disc_and_cup(rng: np.random.Generator, ratios: tuple[float, float]) -> Eye:
    """Draw the shapes of disc and cup.

    The disc's height is 1.92 mm with a standard deviation of 0.29 mm, and a twelfth more than its
    width (Jonas et al., Invest. Ophthalmol. Vis. Sci. 1988); discs that are tilted are narrower. In
    glaucoma the rim is lost below first, and then above (Jonas et al., Surv. Ophthalmol. 1999): a
    third of the cups have a bay there.

    Args:
        rng: generator.
        ratios: range of the vertical cup-to-disc ratio.
    """
    height = float(np.clip(rng.normal(1.92, 0.29), 1.2, 2.7))
    width = height / rng.uniform(0.95, 1.25)
    disc = Outline(0.0, 0.0, rough_ellipse(rng, height, width, rng.normal(0, 0.25), 0.02))
    ratio = _draw_ratio(rng, *ratios)
    wide = float(np.exp(rng.normal(0.02, 0.14)))
    shape = rough_ellipse(rng, 1.0, wide, rng.normal(0, 0.4), 0.035)
    if rng.random() < 0.35:
        at = rng.choice([1, 1, -1]) * np.pi / 2 + rng.normal(0, 0.35)
        shape = notched(shape, at, rng.uniform(0.05, 0.3), rng.uniform(0.3, 0.7))
    right, down = rng.normal((0.15, 0.0), (0.2, 0.15)).clip(-0.6, 0.7)
    cup = fit_cup(disc, shape, ratio, (float(right), float(down)))
    # Most walls are steeper on the nasal side, where the vessels are.
    slope = np.exp(rng.uniform(np.log(0.15), np.log(1.0))) + 0.12 * (1 - ratio)
    towards = rng.uniform(0, 0.5) * np.cos(angles() - rng.normal(0, 0.5))
    uneven = rng.normal(0, 0.25) * np.cos(2 * angles() + rng.uniform(0, 2 * np.pi))
    wall = (slope * np.exp(towards + uneven)).clip(0.08, 1.3).astype(np.float32)
    return disc, cup, wall


def _draw_ratio(rng: np.random.Generator, low: float, high: float) -> float:
    """Draw a vertical cup-to-disc ratio in a range: of all sizes alike, or as in a population.

    The mean of the population is 0.43 (Crowston et al., Br. J. Ophthalmol. 2004); ratios of all
    sizes are there so that those of any other are, too.
    """
    if rng.random() < 0.5:
        return rng.uniform(low, high)
    mean, deviation = 0.43, 0.13
    below, above = (float(ndtr((end - mean) / deviation)) for end in (low, high))
    return float(np.clip(mean + deviation * ndtri(rng.uniform(below, above)), low, high))


def draw_fovea(rng: np.random.Generator) -> tuple[float, float]:
    """Draw the place of the fovea.

    It is 4.76 mm with a standard deviation of 0.34 mm from the disc, 8 degrees below (Jonas et al.,
    PLoS One 2015).
    """
    distance, angle = rng.normal(4.76, 0.34), np.deg2rad(rng.normal(7.8, 3.6))
    return float(distance * np.cos(angle)), float(distance * np.sin(angle))


@dataclass(frozen=True)
class Outline:
    """A closed outline that every ray from its middle crosses once."""

    x: float
    y: float
    radii: NDArray[np.float32]
    """Radius at the angles of `angles()`."""

    def level(self, x: FloatImage, y: FloatImage) -> FloatImage:
        """Measure the distance from the middle in radii of the outline: below 1 inside."""
        return self.polar(x, y)[0]

    def polar(self, x: FloatImage, y: FloatImage) -> tuple[FloatImage, FloatImage]:
        """Return the level, and the angle in turns, in [0, 1)."""
        right, down = x - np.float32(self.x), y - np.float32(self.y)
        turn = np.arctan2(down, right) * np.float32(0.5 / np.pi)
        turn -= np.floor(turn)
        return np.sqrt(right * right + down * down) / at_turn(self.radii, turn), turn

    def points(self) -> NDArray[np.float64]:
        """Return the outline as points (ANGLES, 2) of x and y."""
        angle = angles()
        radii = self.radii.astype(np.float64)
        points: NDArray[np.float64] = np.empty((ANGLES, 2))
        points[:, 0] = self.x + radii * np.cos(angle)
        points[:, 1] = self.y + radii * np.sin(angle)
        return points

    def height(self) -> float:
        """Return the extent from top to bottom."""
        return float(np.ptp(self.points()[:, 1]))


def angles() -> NDArray[np.float64]:
    """Return the angles of an outline in radians, from the temporal side by way of below."""
    turns: NDArray[np.float64] = np.arange(ANGLES) / ANGLES
    return turns * (2 * np.pi)


def at_turn(values: NDArray[np.float32], turn: FloatImage) -> FloatImage:
    """Look up values (ANGLES,) at angles in turns."""
    place = turn * np.float32(ANGLES)
    index = place.astype(np.int32)
    part = place - index
    found: FloatImage = values.take(index, mode="wrap") * (1 - part)
    found += values.take(index + 1, mode="wrap") * part
    return found


def rough_ellipse(
    rng: np.random.Generator, height: float, width: float, tilt: float, roughness: float
) -> NDArray[np.float32]:
    """Draw the radii of an ellipse with an uneven border.

    Args:
        rng: generator.
        height: length of the axis that is vertical before the tilt.
        width: length of the other.
        tilt: turn in radians.
        roughness: size of the unevenness, as a share of the radius.

    Returns:
        (ANGLES,).
    """
    angle = angles() - tilt
    radii = height * width / 2 / np.hypot(height * np.cos(angle), width * np.sin(angle))
    for waves in range(3, 8):
        strength = roughness * rng.normal() / (waves - 1)
        radii = radii * (1 + strength * np.cos(waves * angle + rng.uniform(0, 2 * np.pi)))
    return radii.astype(np.float32)


def notched(
    radii: NDArray[np.float32], at: float, depth: float, width: float
) -> NDArray[np.float32]:
    """Widen an outline in one direction, as the loss of rim at a pole of the disc does.

    Args:
        radii: (ANGLES,).
        at: direction in radians.
        depth: growth of the radius there, as a share of it.
        width: width of the bay in radians.
    """
    off = np.abs((angles() - at + np.pi) % (2 * np.pi) - np.pi)
    return (radii * (1 + depth * np.exp(-((off / width) ** 2)))).astype(np.float32)


def fit_cup(
    disc: Outline, shape: NDArray[np.float32], ratio: float, aim: tuple[float, float]
) -> Outline:
    """Place a cup of a shape in a disc, with a given vertical cup-to-disc ratio.

    Args:
        disc: outline of the disc.
        shape: radii (ANGLES,) of the cup, at any scale.
        ratio: height of the cup over that of the disc.
        aim: where the middle of the cup lies, as shares of the room that the disc leaves to the
            temporal side and below, in [-1, 1].

    Returns:
        The outline of the cup, inside the disc.
    """
    height = disc.height()
    room = 0.5 * height * max(WIDEST_CUP - ratio, 0.0)
    x, y = disc.x + aim[0] * room, disc.y + aim[1] * room
    scale = ratio * height / Outline(x, y, shape).height()
    for _ in range(4):  # where the disc cuts the cup, the rest of it makes up for the height
        radii = shape * np.float32(scale)
        points = Outline(x, y, radii).points().astype(np.float32)
        over = disc.level(points[:, 0], points[:, 1]) / WIDEST_CUP
        cup = Outline(x, y, (radii / np.maximum(over, 1)).astype(np.float32))
        scale *= ratio * height / cup.height()
    return cup


def cup_depth(level: FloatImage, turn: FloatImage, wall: NDArray[np.float32]) -> FloatImage:
    """Compute how deep the cup is.

    The labelled border lies half-way down the wall, as that of any edge.

    Args:
        level: level of the cup at each pixel (see `Outline.level`).
        turn: angle at the cup's middle in turns.
        wall: width of the wall as a share of the cup's radius, at each of the outline's angles:
            small for a steep one.

    Returns:
        Depth in [0, 1], of the shape of level.
    """
    return ramp((1 - level) / at_turn(wall, turn), -0.5, 0.5)
