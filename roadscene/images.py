"""Frames as network input: resized whole, in the channel order and scale of the weights."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor
from torch.nn import functional as F

from fundus_uda.engine.batches import SampleKey
from fundus_uda.errors import InputError
from fundus_uda.output import progress
from roadscene.data import Frame, read_image, read_label

MOST_CACHED = 2e9
"""Bytes of frames at network size up to which all of them are kept in memory."""
THREADS = 2
"""Number of frames that are read, at their full size, at once."""

Sized = tuple[Image.Image, NDArray[np.uint8] | None]
"""Image and label, if there is one, at network size."""


@dataclass(frozen=True)
class Normalisation:
    """Normalisation (pixel - mean) / std per channel, of pixels in [0, 255]."""

    channels: Literal["RGB", "BGR"]
    mean: tuple[float, ...]
    """Mean of each channel, in the order of `channels`."""
    std: tuple[float, ...] = (1.0, 1.0, 1.0)


class RoadImages:
    """Frames as an `engine.batches.SeededDataset`, read and kept at network size.

    Those of more than `MOST_CACHED` bytes are read when they are asked for, anew each time.

    Nothing is random but, after `draw_by`, which frame a key has.

    Args:
        frames: labelled or unlabelled frames.
        size: (height, width) to which images (bicubic) and labels (nearest) are resized.
        classes: number of classes: 19, 16 or 13.
        normalisation: normalisation that the network expects.

    Raises:
        InputError: see `read_frame`.
    """

    def __init__(
        self, frames: list[Frame], size: tuple[int, int], classes: int, normalisation: Normalisation
    ) -> None:
        self.frames, self.size, self.classes = frames, size, classes
        self.normalisation = normalisation
        self.cached: list[Sized] = []
        """All frames, which processes that load batches inherit; none if there is no room."""
        if 4 * len(frames) * size[0] * size[1] <= MOST_CACHED:
            with ThreadPoolExecutor(THREADS) as pool:
                read = pool.map(self._read, range(len(frames)))
                self.cached = list(progress(read, "frames read", len(frames)))
        self.cumulative: NDArray[np.float64] | None = None
        """Cumulative probabilities by which keys draw frames; None for frames as they are."""

    def draw_by(self, probabilities: NDArray[np.float64]) -> None:
        """Let each key draw a frame by these probabilities, with `key.seed`."""
        self.cumulative = probabilities.cumsum() / probabilities.sum()

    def __len__(self) -> int:
        return len(self.frames)

    def __getitem__(self, key: SampleKey) -> dict[str, Tensor]:
        """Return {"image": (3, H, W) float32, "label": (H, W) int64 if the frame has one}."""
        index = self._index(key)
        image, label = self.cached[index] if self.cached else self._read(index)
        sample = {"image": network_input(image, self.size, self.normalisation)}
        if label is not None:
            sample["label"] = torch.from_numpy(label).long()
        return sample

    def name(self, key: SampleKey) -> str:
        """Return the id of the frame that a key stands for."""
        return self.frames[self._index(key)].id

    def _index(self, key: SampleKey) -> int:
        if self.cumulative is None:
            return key.sample
        drawn = np.random.default_rng(key.seed).random()
        return int(self.cumulative.searchsorted(drawn, side="right"))

    def _read(self, index: int) -> Sized:
        """Read a frame at network size."""
        image, label = read_frame(self.frames[index], self.classes)
        image = image.resize(self.size[::-1], Image.Resampling.BICUBIC)
        if label is not None:
            resized = Image.fromarray(label).resize(self.size[::-1], Image.Resampling.NEAREST)
            label = np.array(resized)
        return image, label


def read_frame(frame: Frame, classes: int) -> tuple[Image.Image, NDArray[np.uint8] | None]:
    """Read an image and, if the frame has one, its label, and check that they match.

    Args:
        frame: labelled or unlabelled frame.
        classes: number of classes: 19, 16 or 13.

    Returns:
        The RGB image; (H, W) class indices or `IGNORE`, None without a label.

    Raises:
        InputError: an unreadable image or label, or a label of another size.
    """
    image = read_image(frame.image)
    if frame.label is None:
        return image, None
    label = read_label(frame, classes)
    require_same_shape(image, label, frame)
    return image, label


def network_input(
    image: Image.Image,
    size: tuple[int, int],
    normalisation: Normalisation,
    resize: Literal["bicubic", "bilinear"] = "bicubic",
) -> Tensor:
    """Convert an RGB image to a network's input, (3, height, width) float32.

    Args:
        image: image of any size.
        size: (height, width) to resize to.
        normalisation: normalisation that the network expects.
        resize: "bicubic" by Pillow, which smooths when it shrinks; "bilinear" with aligned
            corners, which does not.
    """
    if resize == "bicubic":
        image = image.resize(size[::-1], Image.Resampling.BICUBIC)
    pixels = torch.from_numpy(np.array(image)).permute(2, 0, 1).float()
    if normalisation.channels == "BGR":
        pixels = pixels.flip(0)
    mean, std = (torch.tensor(v)[:, None, None] for v in (normalisation.mean, normalisation.std))
    pixels = (pixels - mean) / std
    if resize == "bilinear":
        pixels = F.interpolate(pixels[None], size=size, mode="bilinear", align_corners=True)[0]
    return pixels


def require_same_shape(image: Image.Image, label: NDArray[np.uint8], frame: Frame) -> None:
    """Raise an InputError unless the label is as high and wide as its image.

    GTA5 has pairs that differ by a few rows, so one percent is allowed there.
    """
    (width, height), (rows, columns) = image.size, label.shape
    tolerance = 0.01 if frame.encoding == "gta5" else 0
    if abs(rows - height) > tolerance * height or abs(columns - width) > tolerance * width:
        raise InputError(
            f"Expected a label of {width}x{height} for {frame.image}. "
            f"Got: {columns}x{rows} in {frame.label}."
        )
