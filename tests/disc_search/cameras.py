"""What other cameras make of a photograph: surround, colour, scale, blur, reflections, lesions."""

import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy.ndimage import gaussian_filter

from fundus_uda.data.field import field_of_view

Values = NDArray[np.float64]


@dataclass(frozen=True)
class Shot:
    """A photograph whose disc is known: (H, W, 3) in [0, 255], or (H, W, 4) with transparency."""

    pixels: Values
    centre: tuple[float, float]
    """Row and column of the disc's centre."""
    diameter: float
    has_disc: bool = True

    def with_pixels(self, pixels: Values) -> "Shot":
        """Return another picture of the same place."""
        return replace(self, pixels=pixels)


Change = Callable[[Shot, np.random.Generator], Shot]


def changed(shot: Shot, name: str, seed: int) -> Shot:
    """Return a photograph as the camera `name` of `CAMERAS` takes it."""
    return CAMERAS[name](shot, np.random.default_rng([seed, zlib.crc32(name.encode())]))


def write(shot: Shot, folder: Path, name: str) -> Path:
    """Write a photograph as a file: PNG if it has transparency, else JPEG."""
    path = folder / f"{name}.{'png' if shot.pixels.shape[2] == 4 else 'jpg'}"
    Image.fromarray(shot.pixels.clip(0, 255).astype(np.uint8)).save(path, quality=90)
    return path


def fields(folder: Path, width: int) -> Iterator[Shot]:
    """Read the whole photographs of a `folder:` dataset, with masks of the disc, at a width."""
    for path in sorted((folder / "images").iterdir()):
        with Image.open(path) as file, Image.open(folder / "masks" / f"{path.stem}.png") as mask:
            scale = width / file.width
            size = (width, round(file.height * scale))
            pixels = np.asarray(file.convert("RGB").resize(size, Image.Resampling.BOX))
            rows, columns = np.nonzero(np.asarray(mask.convert("L").resize(size)))
        diameter = float(2 * np.sqrt(len(rows) / np.pi))
        yield Shot(pixels.astype(np.float64), (rows.mean(), columns.mean()), diameter)


def _field(shot: Shot) -> NDArray[np.bool_]:
    return field_of_view(shot.pixels.clip(0, 255).astype(np.uint8))


def _surround(colour: float) -> Change:
    def change(shot: Shot, _: np.random.Generator) -> Shot:
        return shot.with_pixels(np.where(_field(shot)[..., None], shot.pixels, colour))

    return change


def _transparent(shot: Shot, _: np.random.Generator) -> Shot:
    field = _field(shot)
    pixels = np.where(field[..., None], shot.pixels, 255.0)
    return shot.with_pixels(np.dstack([pixels, 255.0 * field]))


def _coloured(*factors: float) -> Change:
    return lambda shot, _: shot.with_pixels((shot.pixels * factors).clip(0, 255))


def _grey(shot: Shot, _: np.random.Generator) -> Shot:
    return shot.with_pixels(np.repeat(shot.pixels[..., 1:2], 3, axis=2))


def _blurred(share: float) -> Change:
    """Blur by a Gaussian whose sigma is a share of the disc's diameter."""

    def change(shot: Shot, _: np.random.Generator) -> Shot:
        sigma = share * shot.diameter
        return shot.with_pixels(gaussian_filter(shot.pixels, (sigma, sigma, 0)))

    return change


def _noisy(shot: Shot, rng: np.random.Generator) -> Shot:
    return shot.with_pixels(shot.pixels + rng.normal(0, 18, shot.pixels.shape))


def _hazy(shot: Shot, _: np.random.Generator) -> Shot:
    veiled = 0.55 * shot.pixels + 0.45 * np.array([150, 140, 130])
    return shot.with_pixels(np.where(_field(shot)[..., None], veiled, shot.pixels))


def _scaled(width: int) -> Change:
    def change(shot: Shot, _: np.random.Generator) -> Shot:
        scale = width / shot.pixels.shape[1]
        return _resized(shot, scale)

    return change


def _resized(shot: Shot, scale: float) -> Shot:
    size = (round(shot.pixels.shape[1] * scale), round(shot.pixels.shape[0] * scale))
    small = Image.fromarray(shot.pixels.clip(0, 255).astype(np.uint8)).resize(size)
    row, column = shot.centre
    return replace(
        shot,
        pixels=np.asarray(small).astype(np.float64),
        centre=(row * scale, column * scale),
        diameter=shot.diameter * scale,
    )


def _reflecting(count: int) -> Change:
    """Add white spots of a lamp, none of them on the disc."""

    def change(shot: Shot, rng: np.random.Generator) -> Shot:
        pixels, inside, added = shot.pixels, _field(shot), 0
        height, width = pixels.shape[:2]
        y, x = np.mgrid[:height, :width]
        while added < count:
            row, column = rng.uniform(0.15, 0.85) * height, rng.uniform(0.15, 0.85) * width
            off_disc = np.hypot(row - shot.centre[0], column - shot.centre[1]) > 1.5 * shot.diameter
            if not off_disc or not inside[int(row), int(column)]:
                continue
            radius = rng.uniform(0.02, 0.05) * height
            light = np.exp(-((y - row) ** 2 + (x - column) ** 2) / (2 * radius**2))[..., None]
            pixels, added = pixels * (1 - light) + 255 * light, added + 1
        return shot.with_pixels(pixels)

    return change


def _with_lesions(shot: Shot, rng: np.random.Generator) -> Shot:
    """Add yellowish patches with ragged edges, about as bright as the disc, away from it."""
    pixels, inside = shot.pixels, _field(shot)
    height, width = pixels.shape[:2]
    y, x = np.mgrid[:height, :width]
    rows, columns = (int(at) for at in shot.centre)
    around = pixels[rows - 9 : rows + 9, columns - 9 : columns + 9]
    colour = np.quantile(around, 0.8, axis=(0, 1))
    added = 0
    while added < 8:
        row, column = rng.uniform(0.1, 0.9) * height, rng.uniform(0.1, 0.9) * width
        off_disc = np.hypot(row - shot.centre[0], column - shot.centre[1]) > 1.5 * shot.diameter
        if not off_disc or not inside[int(row), int(column)]:
            continue
        radius = rng.uniform(0.1, 0.4) * shot.diameter
        ragged = gaussian_filter(rng.normal(size=(height, width)), radius / 3)
        distance = np.hypot(y - row, x - column) / radius + 0.4 * ragged / ragged.std()
        light = 0.85 / (1 + np.exp(8 * (distance - 1)))[..., None]
        pixels, added = pixels * (1 - light) + colour * light, added + 1
    return shot.with_pixels(pixels)


def _cropped(shot: Shot, rng: np.random.Generator) -> Shot:
    """Cut the field off by a square frame that holds the disc, as some cameras do."""
    height, width = shot.pixels.shape[:2]
    side = round(0.55 * height)
    row = shot.centre[0] + rng.uniform(-0.15, 0.15) * height
    column = shot.centre[1] + rng.uniform(-0.1, 0.1) * height
    top = int(np.clip(row - side / 2, 0, height - side))
    left = int(np.clip(column - side / 2, 0, width - side))
    return replace(
        shot,
        pixels=shot.pixels[top : top + side, left : left + side],
        centre=(shot.centre[0] - top, shot.centre[1] - left),
    )


def _beside(shot: Shot, _: np.random.Generator) -> Shot:
    """Cut out a part of the field without the disc."""
    height, width = shot.pixels.shape[:2]
    side, top = round(0.4 * height), round(0.3 * height)
    left = round(width / 2 - 1.1 * side if shot.centre[1] > width / 2 else width / 2 + 0.1 * side)
    return replace(shot, pixels=shot.pixels[top : top + side, left : left + side], has_disc=False)


def _small_field(shot: Shot, _: np.random.Generator) -> Shot:
    """Let the field take a third of the frame's width, as a lens held before a telephone does."""
    small = _resized(shot, 0.4)
    height, width = shot.pixels.shape[:2]
    frame = np.full_like(shot.pixels, 3)
    top, left = round(0.35 * height), round(0.25 * width)
    frame[top : top + small.pixels.shape[0], left : left + small.pixels.shape[1]] = small.pixels
    centre = (small.centre[0] + top, small.centre[1] + left)
    return replace(small, pixels=frame, centre=centre)


def _telephone(shot: Shot, rng: np.random.Generator) -> Shot:
    """Photograph with a telephone and a lens: small and dim field, unsharp, two reflections."""
    dim = shot.with_pixels(shot.pixels * [0.55, 0.5, 0.45])
    unsharp = _blurred(0.03)(_reflecting(2)(dim, rng), rng)
    seen = _small_field(unsharp, rng)
    return seen.with_pixels(seen.pixels + rng.normal(0, 4, seen.pixels.shape))


def _wide_field(shot: Shot, rng: np.random.Generator) -> Shot:
    """Let the field reach twice as far, with pale retina beyond, as a camera for neonates does."""
    height, width = shot.pixels.shape[:2]
    small = _resized(shot, 0.5)
    inside = _field(small)
    top, left = (height - small.pixels.shape[0]) // 2, (width - small.pixels.shape[1]) // 2
    pixels, known = np.zeros_like(shot.pixels), np.zeros((height, width))
    place = (slice(top, top + inside.shape[0]), slice(left, left + inside.shape[1]))
    pixels[place], known[place] = small.pixels * inside[..., None], inside
    sigma = height / 12
    near = gaussian_filter(known, sigma)[..., None].clip(1e-4)
    smooth = gaussian_filter(pixels, (sigma, sigma, 0)) / near
    median = np.median(small.pixels[inside], axis=0)
    smooth = np.where(near > 1e-3, smooth, median)
    texture = gaussian_filter(rng.normal(size=(height, width)), 6)
    beyond = smooth * (1 + 0.06 * texture / texture.std())[..., None]
    edge = gaussian_filter(known, 3)[..., None].clip(0, 1) ** 4
    filled = np.where(known[..., None] > 0, edge * pixels + (1 - edge) * beyond, beyond)
    y, x = np.mgrid[:height, :width]
    circle = np.hypot(y - height / 2, x - width / 2) < 0.49 * height
    pale = 0.8 * filled + 0.2 * np.array([170, 130, 100])
    centre = (small.centre[0] + top, small.centre[1] + left)
    return replace(small, pixels=np.where(circle[..., None], pale, 0.0), centre=centre)


CAMERAS: dict[str, Change] = {
    "as it is": lambda shot, _: shot,
    "white surround": _surround(255),
    "grey surround": _surround(128),
    "transparent surround": _transparent,
    "dim": _coloured(0.35, 0.35, 0.35),
    "very dim": _coloured(0.18, 0.18, 0.18),
    "overexposed": _coloured(1.6, 1.6, 1.6),
    "green cast": _coloured(0.6, 1.0, 0.8),
    "blue cast": _coloured(0.75, 0.95, 1.5),
    "without colour": _grey,
    "512 pixels": _scaled(512),
    "256 pixels": _scaled(256),
    "blur": _blurred(0.03),
    "strong blur": _blurred(0.06),
    "noise": _noisy,
    "haze": _hazy,
    "reflections": _reflecting(3),
    "bright lesions": _with_lesions,
    "cropped field": _cropped,
    "small field": _small_field,
    "telephone": _telephone,
    "wide field": _wide_field,
    "beside the disc": _beside,
}
"""Cameras and conditions. The last one leaves no disc in the photograph."""
