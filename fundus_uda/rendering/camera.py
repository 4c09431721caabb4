"""The camera: light, spectra, focus, haze, sensor and compression."""

import io
from dataclasses import dataclass, replace

import numpy as np
from PIL import Image
from scipy.ndimage import gaussian_filter

from fundus_uda.masks.classes import Photograph
from fundus_uda.rendering.noise import FloatImage, fractal_noise, ramp, smooth_noise
from fundus_uda.rendering.view import View


@dataclass(frozen=True)
class Camera:
    """Parameters of an exposure. Lengths are shares of the side, colours linear RGB."""

    cast: tuple[float, float, float]
    """Colour of a white that the lens of the eye, the flash and the sensor give, the largest 1."""
    gain: float
    """Exposure."""
    mixing: float
    """Share of each channel that the filters of the sensor give to the others."""
    gamma: float
    shoulder: float
    """Sharpness of the bend with which highlights saturate."""
    contrast: float
    vignette: float
    light_at: tuple[float, float]
    """Middle of the light, from the middle of the photograph."""
    slope: tuple[float, float]
    """Fall of the light across the side: to the right and down."""
    unevenness: float
    haze: float
    """Share of scattered light."""
    haze_colour: tuple[float, float, float]
    glare: float
    """Strength of a crescent of stray light at the edge of the field."""
    field: tuple[float, float, float]
    """Middle and radius of the field; black lies beyond it."""
    blur: float
    """Standard deviation in pixels."""
    zone: float
    """Additional blur in pixels in a part of the photograph that is out of focus."""
    bloom: float
    """Share of the light that optics and ocular media spread widely."""
    fringe: tuple[float, float]
    """Shift of blue against red in pixels, right and down."""
    sharpening: float
    noise: float
    """Standard deviation of the sensor's noise in linear light of 1."""
    quality: int
    """Quality of the JPEG."""
    coarse: float
    """Resolution of the sensor over that of the photograph, at most 1."""

    def perfect(self) -> "Camera":
        """Return this camera without what sets cameras apart, but for cast and exposure."""
        return replace(
            self, mixing=0.0, gamma=2.2, contrast=0.0, vignette=0.0, slope=(0.0, 0.0),
            unevenness=0.0, haze=0.0, glare=0.0, blur=0.0, zone=0.0, bloom=0.0, fringe=(0.0, 0.0),
            sharpening=0.0, noise=0.0, quality=95, coarse=1.0,
        )  # fmt: skip


def draw_camera(
    rng: np.random.Generator, view: View, light: FloatImage, inside: FloatImage, whole: bool
) -> Camera:
    """Draw a camera and its exposure: wide ranges, chosen so that no usual camera lies beyond.

    Args:
        rng: generator.
        view: view.
        light: light from the eye (3, H, W), by whose disc the exposure is set.
        inside: where the disc is (H, W), in [0, 1].
        whole: whether the field is shown whole.
    """
    warm = rng.uniform(0.1, 1.3)  # the lens of the eye takes more of the blue
    cast = (1.0, float(np.exp(-warm)), float(np.exp(-warm - rng.uniform(0.6, 2.2))))
    gain = rng.uniform(np.log(0.3), np.log(1.6))
    haze = rng.exponential(0.06) if rng.random() < 0.4 else rng.exponential(0.015)
    tint = rng.uniform(0.5, 1.0, 3)
    scale = view.size / (512 if whole else 256)
    fringe = rng.normal(0, 0.5, 2) * scale
    side = 1 if view.left else -1
    return Camera(
        cast=cast,
        gain=float(np.exp(gain) * inside.sum() / (light[0] * inside).sum()),
        mixing=rng.uniform(0, 0.06),
        gamma=rng.uniform(1.9, 2.5),
        shoulder=rng.uniform(2.0, 6.0),
        contrast=rng.normal(0, 0.25),
        vignette=rng.uniform(0, 1.2),
        light_at=(rng.normal(0, 0.25), rng.normal(0, 0.2)),
        slope=(side * rng.normal(0.25, 0.6), rng.normal(0, 0.3)),  # brighter to the macula
        unevenness=rng.uniform(0, 0.12),
        haze=float(haze),
        haze_colour=(0.35 * tint[0], 0.4 * tint[1], 0.4 * tint[2]),
        glare=rng.uniform(0, 0.4) * (rng.random() < 0.25),
        field=_draw_field(rng, view, whole),
        blur=scale * float(np.exp(rng.uniform(np.log(0.3), np.log(2.2)))),
        zone=scale * rng.uniform(0, 4) * (rng.random() < 0.25),
        bloom=rng.uniform(0, 0.25),
        fringe=(float(fringe[0]), float(fringe[1])),
        sharpening=rng.uniform(0, 1.2) * (rng.random() < 0.4),
        noise=float(np.exp(rng.uniform(np.log(0.003), np.log(0.035)))),
        quality=int(rng.integers(45, 97)),
        coarse=rng.uniform(0.5, 1.0) if rng.random() < 0.3 else 1.0,
    )


def _draw_field(rng: np.random.Generator, view: View, whole: bool) -> tuple[float, float, float]:
    """Draw middle and radius of the field, whose border is near on the nasal side of the disc."""
    if whole:
        x, y = rng.normal(0, 0.01, 2)
        return float(x), float(y), rng.uniform(0.47, 0.52)
    if rng.random() < 0.7:
        return 0.0, 0.0, 3.0  # beyond the photograph
    radius = rng.uniform(1.2, 3.0)
    off, angle = radius - rng.uniform(0.36, 0.55), rng.normal(0, 0.3)
    side = 1 if view.left else -1
    return float(side * off * np.cos(angle)), float(off * np.sin(angle)), radius


def expose(rng: np.random.Generator, light: FloatImage, camera: Camera) -> bytes:
    """Take a photograph.

    Args:
        rng: generator of unevenness and noise.
        light: light from the eye (3, H, W), 1 for a white surface.
        camera: parameters.

    Returns:
        The photograph as a JPEG.
    """
    size = light.shape[1]
    along = (np.arange(size, dtype=np.float32) + 0.5) / size - 0.5
    y, x = along[:, None], along[None, :]
    lit = _illumination(rng, camera, x, y)
    image = light * (np.array(camera.cast, np.float32)[:, None, None] * (camera.gain * lit))
    others = camera.mixing * image.sum(axis=0)
    image *= 1 - 3 * camera.mixing
    image += others
    inside, border = _field(camera, x, y)
    stray = np.array(camera.haze_colour, np.float32)[:, None, None]
    cloud = camera.haze * (1 + 0.5 * smooth_noise(rng, size, 1.5)).clip(0)
    cloud = cloud + camera.glare * border * ramp(smooth_noise(rng, size, 1.2), -0.5, 1.5)
    image *= 1 - cloud.clip(0, 0.9)
    image += cloud * stray
    image = _focus(rng, image, camera)
    if camera.noise > 0:
        noise = rng.standard_normal(image.shape, np.float32)
        noise[:, :, 1:] += 0.7 * noise[:, :, :-1]  # as a sensor whose colours are interpolated
        noise *= np.sqrt(np.maximum(image, 0) + np.float32(0.02))
        noise *= np.float32(0.8 * camera.noise)
        image += noise
    shown = _developed(np.maximum(image, 0) * inside, camera)
    if camera.sharpening > 0:
        shown = shown + camera.sharpening * (shown - _mean_of_nine(shown))
    return _as_jpeg(shown, camera.quality)


def develop(photograph: bytes) -> Photograph:
    """Return the pixels of a JPEG."""
    with Image.open(io.BytesIO(photograph)) as image:
        return np.asarray(image.convert("RGB"))


def _illumination(
    rng: np.random.Generator, camera: Camera, x: FloatImage, y: FloatImage
) -> FloatImage:
    right, down = x - np.float32(camera.light_at[0]), y - np.float32(camera.light_at[1])
    exponent = -camera.vignette * (right**2 + down**2) * 2
    exponent = exponent + camera.slope[0] * x + camera.slope[1] * y
    uneven = camera.unevenness * fractal_noise(rng, x.size, 2.0, 2)
    lit: FloatImage = np.exp(exponent + uneven)
    return lit


def _field(camera: Camera, x: FloatImage, y: FloatImage) -> tuple[FloatImage, FloatImage]:
    """Return where the field is, and how near to its edge a pixel in it lies."""
    right, down, radius = (np.float32(value) for value in camera.field)
    inward = radius - np.hypot(x - right, y - down)
    soft = 0.004
    return ramp(inward, -soft, soft), np.exp(-np.maximum(inward, 0) / np.float32(0.14))


def _focus(rng: np.random.Generator, image: FloatImage, camera: Camera) -> FloatImage:
    size = image.shape[1]
    if camera.coarse < 1:
        small = max(32, round(size * camera.coarse))
        image = _resized(_resized(image, small), size)
    if camera.blur > 0.3:
        image = _blurred(image, camera.blur)
    if camera.zone > 0.3:
        share = ramp(smooth_noise(rng, size, 1.2), -0.3, 1.2)
        image = image + share * (_blurred(image, camera.zone) - image)
    if camera.bloom > 0:
        coarse = _resized(image, max(8, size // 8))
        spread = np.stack([gaussian_filter(plane, 0.06 * len(plane)) for plane in coarse])
        image = image + np.float32(camera.bloom) * (_resized(spread, size) - image)
    if max(map(abs, camera.fringe)) > 0.05:
        image = np.stack([image[0], image[1], _shifted(image[2], *camera.fringe)])
    return image


def _developed(image: FloatImage, camera: Camera) -> FloatImage:
    """Turn linear light into values of a file in [0, 1], by a table of its square root."""
    root = np.linspace(0, 2, 4096)
    light = root**2
    light = light / (1 + light**camera.shoulder) ** (1 / camera.shoulder)
    table = light ** (1 / camera.gamma)
    table = table + camera.contrast * table * (1 - table) * (2 * table - 1)
    index = (np.sqrt(image) * np.float32(4095 / 2)).astype(np.int32)
    return table.astype(np.float32).take(index, mode="clip")


def _blurred(image: FloatImage, sigma: float) -> FloatImage:
    if sigma > 2.5:  # nothing finer is left, so half the pixels tell it
        size = image.shape[1]
        return _resized(_blurred(_resized(image, size // 2), sigma / 2), size)
    return np.stack([gaussian_filter(plane, sigma, truncate=3) for plane in image])


def _resized(image: FloatImage, size: int) -> FloatImage:
    return np.stack(
        [
            np.asarray(Image.fromarray(plane).resize((size, size), Image.Resampling.BILINEAR))
            for plane in image
        ]
    )


def _shifted(plane: FloatImage, right: float, down: float) -> FloatImage:
    for shift, axis in ((down, 0), (right, 1)):
        index = np.arange(len(plane)) - int(np.sign(shift))
        moved = plane.take(index, axis, mode="clip")
        plane = plane + np.float32(min(abs(shift), 1.0)) * (moved - plane)
    return plane


def _mean_of_nine(image: FloatImage) -> FloatImage:
    padded = np.pad(image, ((0, 0), (1, 1), (1, 1)), mode="edge")
    rows = padded[:, :-2] + padded[:, 1:-1] + padded[:, 2:]
    mean: FloatImage = (rows[:, :, :-2] + rows[:, :, 1:-1] + rows[:, :, 2:]) / np.float32(9)
    return mean


def _as_jpeg(image: FloatImage, quality: int) -> bytes:
    pixels = (image.transpose(1, 2, 0) * 255).clip(0, 255).round().astype(np.uint8)
    file = io.BytesIO()
    subsampling = 2 if quality < 90 else 0
    Image.fromarray(pixels).save(file, "JPEG", quality=quality, subsampling=subsampling)
    return file.getvalue()
