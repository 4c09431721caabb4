"""The view of a camera: which place of the retina each pixel shows."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fundus_uda.rendering.anatomy import Outline
from fundus_uda.rendering.noise import FloatImage

DISC_SHARE = (0.42, 0.78)
"""Least and largest diameter of the disc over the side of a crop around it."""
FIELD = (9.5, 13.5)
"""Least and largest side of a whole field in millimetres: 33 to 47 degrees, at the 0.29 mm a degree
of Drasdo and Fowler (Br. J. Ophthalmol. 1974)."""


def draw_view(
    rng: np.random.Generator, size: int, disc: Outline, fovea: tuple[float, float], whole: bool
) -> "View":
    """Draw a view of the disc alone, or of a whole field with the macula.

    Args:
        rng: generator.
        size: side of the photograph in pixels.
        disc: outline of the disc.
        fovea: place of the fovea.
        whole: whether it is a whole field.
    """
    left, turn = bool(rng.random() < 0.5), float(rng.normal(0, 0.12))
    if whole:
        between = rng.uniform(0.35, 0.65)
        x, y = (between * place + rng.normal(0, 0.4) for place in fovea)
        return View(size, rng.uniform(*FIELD), (x, y), turn, left)
    side = 2 * float(np.sqrt(np.mean(disc.radii**2))) / rng.uniform(*DISC_SHARE)
    x, y = rng.uniform(-0.07, 0.07, 2) * side
    return View(size, side, (float(x), float(y)), turn, left)


@dataclass(frozen=True)
class View:
    """A square photograph of the retina, whose places are those of `rendering.anatomy`."""

    size: int
    """Side in pixels."""
    side: float
    """Side in millimetres."""
    centre: tuple[float, float]
    """Place in the middle of the photograph."""
    turn: float
    """Turn of the eye in radians."""
    left: bool
    """Whether the macula lies to the right of the disc, as in a left eye."""

    def grid(self) -> tuple[FloatImage, FloatImage]:
        """Return the place x and y of each pixel, (size, size) each."""
        along = ((np.arange(self.size) + 0.5) / self.size - 0.5) * self.side
        right = (along if self.left else -along)[None, :].astype(np.float32)
        down = along[:, None].astype(np.float32)
        cos, sin = np.float32(np.cos(self.turn)), np.float32(np.sin(self.turn))
        x, y = (np.float32(value) for value in self.centre)
        return x + cos * right - sin * down, y + sin * right + cos * down

    def to_pixels(self, points: NDArray[np.float64], scale: float = 1) -> NDArray[np.float64]:
        """Return the pixels (..., 2), x and y, that show points (..., 2).

        Args:
            points: places.
            scale: size of a finer grid of pixels over that of the photograph.
        """
        x, y = points[..., 0] - self.centre[0], points[..., 1] - self.centre[1]
        cos, sin = np.cos(self.turn), np.sin(self.turn)
        right, down = cos * x + sin * y, cos * y - sin * x
        right = right if self.left else -right
        return (np.stack([right, down], axis=-1) / self.side + 0.5) * self.size * scale

    @property
    def pixel(self) -> float:
        """Side of a pixel in millimetres."""
        return self.side / self.size
