"""Renderer of street scenes with exact labels, in two styles.

The styles show the same kind of street as two cameras might: "day" is bright and clean; "dusk" has
another palette and is dim, hazy, textured and noisy. Everything is a function of the seed. The
renderer serves the demo and the tests; it does not model traffic.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from scipy.ndimage import gaussian_filter

from fundus_uda.engine.randomness import derive_seed
from roadscene.classes import CLASSES

StyleName = Literal["day", "dusk"]
Point = tuple[float, float]
ID = {c.name: c.cityscapes for c in CLASSES}


@dataclass(frozen=True)
class Style:
    """Look of a street in one camera. Colours are RGB in [0, 255]."""

    palette: dict[str, tuple[int, int, int]]
    gain: float
    haze: float
    texture: float
    noise: float
    blur: float


STYLES: dict[StyleName, Style] = {
    "day": Style(
        palette={
            "sky": (150, 190, 235),
            "building": (165, 130, 110),
            "veg": (70, 125, 55),
            "road": (105, 105, 110),
            "sidewalk": (180, 170, 160),
            "car": (170, 50, 50),
            "person": (60, 60, 130),
            "pole": (85, 85, 85),
            "sign": (215, 195, 50),
            "light": (40, 60, 40),
        },
        gain=1.0,
        haze=0.0,
        texture=0.03,
        noise=0.01,
        blur=0.4,
    ),
    "dusk": Style(
        palette={
            "sky": (190, 140, 130),
            "building": (95, 90, 105),
            "veg": (55, 75, 65),
            "road": (85, 80, 90),
            "sidewalk": (120, 110, 115),
            "car": (70, 75, 110),
            "person": (75, 55, 60),
            "pole": (60, 55, 60),
            "sign": (150, 135, 75),
            "light": (55, 50, 45),
        },
        gain=0.8,
        haze=0.12,
        texture=0.08,
        noise=0.035,
        blur=0.8,
    ),
}


class _Canvas:
    """Picture and its label, drawn together. Points are (x, y) as shares of width and height."""

    def __init__(self, rng: np.random.Generator, style: Style, size: tuple[int, int]) -> None:
        self.rng, self.style = rng, style
        self.height, self.width = size
        self.picture = Image.new("RGB", (self.width, self.height))
        self.label = Image.new("L", (self.width, self.height))

    def draw(self, name: str, points: list[Point], shape: str = "polygon") -> None:
        """Draw one object; for an "ellipse", `points` are two corners of its box."""
        scaled = [(x * self.width, y * self.height) for x, y in points]
        tint = self.rng.normal(0, 12, 3) + self.rng.normal(0, 10)
        colour = np.clip(np.add(self.style.palette[name], tint), 0, 255).astype(int)
        for image, fill in ((self.picture, tuple(colour.tolist())), (self.label, ID[name])):
            getattr(ImageDraw.Draw(image), shape)(scaled, fill=fill)

    def box(self, name: str, x: float, y: float, width: float, height: float) -> None:
        """Draw an upright rectangle from its lower left corner."""
        self.draw(name, [(x, y), (x + width, y), (x + width, y - height), (x, y - height)])


def render(
    style: StyleName, seed: int, size: tuple[int, int]
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Render one street and its label.

    Args:
        style: "day" or "dusk".
        seed: seed of the street.
        size: (height, width) in pixels.

    Returns:
        (height, width, 3) uint8 RGB; (height, width) uint8 of Cityscapes ids.
    """
    rng = np.random.default_rng(derive_seed("street", style, seed))
    look = STYLES[style]
    canvas = _Canvas(rng, look, size)
    horizon, vanishing = rng.uniform(0.4, 0.5), rng.uniform(0.4, 0.6)
    canvas.box("sky", 0, 1, 1, 1)
    _houses_and_trees(canvas, horizon)
    _street(canvas, horizon, vanishing)
    _street_furniture(canvas, horizon)
    _traffic(canvas, horizon, vanishing)
    return _photograph(rng, look, np.asarray(canvas.picture)), np.asarray(canvas.label)


def write_split(
    root: Path, split: str, style: StyleName, count: int, size: tuple[int, int], first_seed: int
) -> None:
    """Write `count` streets in Cityscapes' layout, so that `cityscapes:ROOT#SPLIT` reads them."""
    image_folder, label_folder = (root / kind / split / style for kind in ("leftImg8bit", "gtFine"))
    for folder in (image_folder, label_folder):
        folder.mkdir(parents=True, exist_ok=True)
    for seed in range(first_seed, first_seed + count):
        image, label = render(style, seed, size)
        name = f"{style}_{seed:06d}_000000"
        Image.fromarray(image).save(image_folder / f"{name}_leftImg8bit.png")
        Image.fromarray(label).save(label_folder / f"{name}_gtFine_labelIds.png")


def _houses_and_trees(canvas: _Canvas, horizon: float) -> None:
    rng, x = canvas.rng, -0.05
    while x < 1:
        width = rng.uniform(0.1, 0.25)
        if rng.random() < 0.8:
            canvas.box("building", x, horizon + 0.1, width, rng.uniform(0.25, 0.55))
        x += width
    for _ in range(rng.integers(2, 6)):
        x, radius = rng.uniform(0, 1), rng.uniform(0.04, 0.1)
        y = horizon - rng.uniform(-0.04, 0.12)
        canvas.draw("veg", [(x - radius, y - 2 * radius), (x + radius, y + radius)], "ellipse")


def _street(canvas: _Canvas, horizon: float, vanishing: float) -> None:
    rng = canvas.rng
    left, right = rng.uniform(-0.2, 0.1), rng.uniform(0.9, 1.2)
    canvas.box("sidewalk", 0, 1, 1, 1 - horizon)
    apex = [(vanishing + 0.03, horizon), (vanishing - 0.03, horizon)]
    canvas.draw("road", [(left, 1), (right, 1), *apex])


def _street_furniture(canvas: _Canvas, horizon: float) -> None:
    rng = canvas.rng
    for _ in range(rng.integers(2, 5)):
        x = rng.choice([rng.uniform(0.02, 0.25), rng.uniform(0.75, 0.98)])
        foot, height = horizon + rng.uniform(0.05, 0.3), rng.uniform(0.3, 0.5)
        canvas.box("pole", x, foot, 0.012, height)
        top = foot - height
        if rng.random() < 0.6:
            canvas.box("sign", x - 0.02, top + 0.09, 0.05, 0.09)
        else:
            canvas.box("light", x - 0.01, top + 0.11, 0.032, 0.11)


def _traffic(canvas: _Canvas, horizon: float, vanishing: float) -> None:
    rng = canvas.rng
    for foot in sorted(rng.uniform(horizon + 0.06, 0.95, rng.integers(1, 5))):
        near = (foot - horizon) / (1 - horizon)
        width = 0.08 + 0.2 * near
        x = vanishing + rng.uniform(-0.35, 0.35) * near - width / 2
        canvas.box("car", x, foot, width, 0.5 * width)
        canvas.box("car", x + 0.2 * width, foot - 0.5 * width, 0.6 * width, 0.35 * width)
    for _ in range(rng.integers(1, 5)):
        foot = rng.uniform(horizon + 0.1, 0.9)
        near = (foot - horizon) / (1 - horizon)
        x, height = rng.choice([rng.uniform(0, 0.25), rng.uniform(0.75, 1)]), 0.15 + 0.25 * near
        canvas.box("person", x, foot, 0.2 * height, 0.8 * height)
        head = [(x, foot - height), (x + 0.2 * height, foot - 0.75 * height)]
        canvas.draw("person", head, "ellipse")


def _photograph(
    rng: np.random.Generator, look: Style, drawn: NDArray[np.uint8]
) -> NDArray[np.uint8]:
    """Simulate the camera on the drawing: texture, light, haze, blur and noise."""
    image: NDArray[np.float64] = drawn / 255
    shape = image.shape[:2]
    texture = gaussian_filter(rng.normal(0, 1, shape), 1.5) * 4
    image = image * (1 + look.texture * texture[..., None])
    image = image * look.gain * rng.uniform(0.85, 1.15)
    haze = look.haze * rng.uniform(0.5, 1.5)
    image = image * (1 - haze) + haze * np.array([0.75, 0.62, 0.6])
    image = gaussian_filter(image, (look.blur, look.blur, 0))
    image = image + rng.normal(0, look.noise, image.shape)
    return (image.clip(0, 1) * 255).round().astype(np.uint8)
