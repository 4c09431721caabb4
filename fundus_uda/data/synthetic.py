"""An embedded renderer of disc-centred photographs with exact masks, for two cameras.

The renderer shows one population of eyes as two cameras would: "a" is warm, sharp and wide; "b"
is dim, greenish, hazy, noisy, blurred and closer. Everything is a function of the seed. The
renderer serves the demo and the tests; it is no model of disease.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy.ndimage import gaussian_filter

from fundus_uda.engine.randomness import derive_seed
from fundus_uda.masks.classes import Mask, Photograph, disc_and_cup_to_classes

CameraName = Literal["a", "b"]
FloatImage = NDArray[np.float64]

NOISE_SIDE = 512
"""Side in pixels at which `Camera.noise` is the noise of a pixel. Larger pixels see more light: a
photograph of half the side has half the noise."""


@dataclass(frozen=True)
class Camera:
    """Appearance of an eye in a camera.

    Colours are RGB in [0, 1], lengths shares of the side; noise is a standard deviation in [0, 1],
    at `NOISE_SIDE`.
    """

    retina: tuple[float, float, float]
    disc: tuple[float, float, float]
    cup: tuple[float, float, float]
    vessel: tuple[float, float, float]
    disc_radius: float
    blur: float
    haze: float
    noise: float
    vignette: float


CAMERAS: dict[CameraName, Camera] = {
    "a": Camera(
        retina=(0.72, 0.36, 0.16),
        disc=(0.93, 0.67, 0.42),
        cup=(0.99, 0.90, 0.74),
        vessel=(0.42, 0.10, 0.08),
        disc_radius=0.26,
        blur=0.004,
        haze=0.0,
        noise=0.015,
        vignette=0.25,
    ),
    "b": Camera(
        retina=(0.45, 0.33, 0.20),
        disc=(0.62, 0.54, 0.34),
        cup=(0.72, 0.70, 0.52),
        vessel=(0.30, 0.16, 0.12),
        disc_radius=0.31,
        blur=0.009,
        haze=0.2,
        noise=0.03,
        vignette=0.55,
    ),
}


def render(camera: CameraName, seed: int, size: int) -> tuple[Photograph, Mask]:
    """Render one photograph and its mask.

    Args:
        camera: "a" or "b".
        seed: seed of the eye and of the exposure.
        size: side in pixels.

    Returns:
        (size, size, 3) uint8 RGB; (size, size) uint8 of 0 background, 1 rim, 2 cup.
    """
    rng = np.random.default_rng(derive_seed("synthetic", camera, seed))
    look = CAMERAS[camera]
    y, x = (np.mgrid[:size, :size] + 0.5) / size
    centre = 0.5 + rng.uniform(-0.06, 0.06, size=2)
    radius = look.disc_radius * rng.uniform(0.85, 1.15)
    height, width = radius * rng.uniform(1.0, 1.12), radius * rng.uniform(0.9, 1.0)
    ratio = rng.uniform(0.35, 0.75)
    shift = (1 - ratio) * radius * rng.uniform(-0.25, 0.25, size=2)

    disc = _ellipse(y, x, centre, height, width)
    cup = _ellipse(y, x, centre + shift, height * ratio, width * ratio * rng.uniform(0.9, 1.05))
    mask, _ = disc_and_cup_to_classes(disc < 1, cup < 1)

    image = _tissue(rng, look.retina, size)
    image = _blend(image, look.disc, _soft_inside(disc, 0.06))
    image = _blend(image, look.cup, 0.85 * _soft_inside(cup, 0.18))
    image = _blend(image, look.vessel, _vessels(rng, y, x, centre + shift, radius, size))

    distance = np.hypot(y - 0.5, x - 0.5)
    side = rng.uniform(-0.15, 0.15, size=2)
    light = 1 - look.vignette * distance**2 / 0.5 + side[0] * (y - 0.5) + side[1] * (x - 0.5)
    image = image * (light * rng.uniform(0.9, 1.1))[..., None]
    image = gaussian_filter(image, (look.blur * size, look.blur * size, 0))
    haze = look.haze * rng.uniform(0.5, 1.5)
    image = image * (1 - haze) + haze * np.array([0.62, 0.66, 0.60])
    image = image + rng.normal(0, look.noise * size / NOISE_SIDE, image.shape)
    return (image.clip(0, 1) * 255).round().astype(np.uint8), mask


def write_camera(folder: Path, camera: CameraName, count: int, size: int, first_seed: int) -> None:
    """Write `count` photographs to `folder/images` and their masks to `folder/masks` as PNG.

    The layout is that of `folder:PATH` data URIs.
    """
    for name in ("images", "masks"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    for seed in range(first_seed, first_seed + count):
        image, mask = render(camera, seed, size)
        Image.fromarray(image).save(folder / "images" / f"{camera}{seed:04d}.png")
        Image.fromarray(mask).save(folder / "masks" / f"{camera}{seed:04d}.png")


def _ellipse(
    y: FloatImage, x: FloatImage, centre: FloatImage, height: float, width: float
) -> FloatImage:
    """Measure the distance from the centre in units of the outline: below 1 inside."""
    distance: FloatImage = np.hypot((y - centre[0]) / height, (x - centre[1]) / width)
    return distance


def _soft_inside(distance: FloatImage, softness: float) -> FloatImage:
    inside: FloatImage = (1 - distance) / softness + 0.5
    return inside.clip(0, 1)


def _blend(image: FloatImage, colour: tuple[float, ...], share: FloatImage) -> FloatImage:
    blended: FloatImage = image * (1 - share[..., None]) + np.array(colour) * share[..., None]
    return blended


def _tissue(rng: np.random.Generator, colour: tuple[float, ...], size: int) -> FloatImage:
    """Render the retina: its colour, with coarse and fine variation."""
    texture = sum(
        gaussian_filter(rng.normal(0, 1, (size, size)), scale * size) * scale * size * strength
        for scale, strength in ((0.08, 0.25), (0.02, 0.12))
    )
    tint = rng.uniform(0.92, 1.08, size=3)
    tissue: FloatImage = np.array(colour) * tint * (1 + np.asarray(texture)[..., None])
    return tissue.clip(0, 1)


def _vessels(
    rng: np.random.Generator,
    y: FloatImage,
    x: FloatImage,
    root: FloatImage,
    radius: float,
    size: int,
) -> FloatImage:
    """Render the opacity of vessels that leave the disc up and down and bend to the sides."""
    opacity = np.zeros((size, size))
    for up_or_down in (-1, 1):
        for _ in range(rng.integers(2, 4)):
            angle = up_or_down * (np.pi / 2) + rng.uniform(-0.6, 0.6)
            bend, width = rng.uniform(-2.2, 2.2), radius * rng.uniform(0.03, 0.07)
            point = root + radius * rng.uniform(-0.15, 0.15, size=2)
            for along in np.linspace(0, 1, 80):
                point = point + 0.01 * np.array([np.sin(angle), np.cos(angle)])
                angle += bend * 0.01
                here = np.hypot(y - point[0], x - point[1]) / (width * (1 - 0.5 * along))
                opacity = np.maximum(opacity, 0.75 * np.exp(-(here**2)))
    return opacity
