"""Whole photographs, embedded: a round field of retina with a rendered disc pasted into it."""

import numpy as np
from PIL import Image
from scipy.ndimage import distance_transform_edt, gaussian_filter

from fundus_uda.data.synthetic import CameraName, render


def retina(seed=0, shape=(400, 560)) -> np.ndarray:
    """(H, W, 3) uint8: a textured, unevenly lit field without a disc, cut off above and below."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[: shape[0], : shape[1]]
    distance = np.hypot(y - shape[0] / 2, x - shape[1] / 2) / (0.42 * shape[1])
    texture = sum(gaussian_filter(rng.normal(size=shape), s) * s * 0.08 for s in (3, 12, 40))
    light = (1 - 0.35 * distance**2) * (1 + texture)
    image = light[..., None] * np.array([185, 92, 41]) + rng.normal(0, 2, (*shape, 3))
    image[distance > 1] = 2
    return image.clip(0, 255).astype(np.uint8)


def whole_field(
    seed=0, centre=(190, 400), diameter=64.0, camera: CameraName = "a"
) -> tuple[np.ndarray, tuple[float, float], float]:
    """A photograph (400, 560, 3) uint8, and the disc's centre and diameter in it."""
    image = retina(seed).astype(np.float64)
    crop, mask = render(camera, seed, 256)
    rows, columns = np.nonzero(mask)
    scale = diameter / (2 * np.sqrt(len(rows) / np.pi))
    side = round(256 * scale)
    small = np.asarray(Image.fromarray(crop).resize((side, side)), dtype=np.float64)
    top, left = round(centre[0] - rows.mean() * scale), round(centre[1] - columns.mean() * scale)
    place = image[top : top + side, left : left + side]
    y, x = np.mgrid[:side, :side] - side / 2
    share = ((1 - np.hypot(y, x) / (side / 2)) / 0.2).clip(0, 1)[..., None]
    # In the light of the place, so that the pasted retina leaves no edge.
    edge = share[..., 0] == 0
    small = small * np.median(place[edge], axis=0) / np.median(small[edge], axis=0)
    inside = retina(seed).max(axis=2) > 20
    place[:] = place * (1 - share) + small * share
    image *= np.where(inside, _vessels(seed, image.shape[:2], centre, diameter), 0)[..., None]
    return image.clip(0, 255).astype(np.uint8), centre, diameter


def _vessels(seed, shape, root, diameter) -> np.ndarray:
    """Light that passes vessels which leave the disc upwards and downwards and bend sideways."""
    rng = np.random.default_rng(seed)
    course = np.zeros(shape, dtype=bool)
    for start in (-2.2, -1.6, -1.1, 1.0, 1.5, 2.1):
        angle = start + rng.uniform(-0.4, 0.4) * np.linspace(0, 1, 600)
        steps = 0.005 * diameter * np.array([np.sin(angle), np.cos(angle)])
        rows, columns = (np.array(root)[:, None] + steps.cumsum(axis=1)).round().astype(int)
        inside = (rows >= 0) & (rows < shape[0]) & (columns >= 0) & (columns < shape[1])
        course[rows[inside], columns[inside]] = True
    return 1 - 0.45 * np.exp(-((distance_transform_edt(~course) / (0.045 * diameter)) ** 2))
