"""MONAI pipelines from a photograph as it was read to plain tensors (channel, row, column)."""

from collections.abc import Hashable, Mapping
from typing import Any

import numpy as np
import torch
from monai.transforms import (
    AffineGrid,
    CastToTyped,
    CopyItemsd,
    MapTransform,
    NormalizeIntensityd,
    RandAdjustContrastd,
    RandGaussianNoised,
    RandGaussianSmoothd,
    RandomizableTransform,
    RandScaleIntensityd,
    RandScaleIntensityFixedMeand,
    RandShiftIntensityd,
    Resample,
    Resized,
    ScaleIntensityRanged,
    SpatialPadd,
    ThresholdIntensityd,
)
from PIL import Image
from torch import Tensor

from fundus_uda.data.pipeline import Pipeline

Statistic = tuple[float, ...]
"""One value per RGB channel, in [0, 1]."""

Zoom = tuple[float, float]
"""Least and largest magnification of a random one, whose logarithm is uniform."""
PLAIN_ZOOM: Zoom = (1 / 1.15, 1.15)
STRONG_ZOOM: Zoom = (0.7, 1.4)
"""About that of BEAL (Wang et al., MICCAI 2019), which applies it to both domains."""
TURN, SHIFT = 0.26, 0.04
"""Largest turn in radians, and largest shift as a share of the image's side."""


def fixed_transforms(size: int) -> Pipeline:
    """Make the deterministic transforms: resize the longer side to `size`, pad to a square.

    They take the output of `photograph_files.read_sample`, of any size, or one part of it, to
    (3, size, size) and (1, size, size) uint8. A photograph of more than twice the size is first
    reduced to that by Pillow, in bytes: MONAI's resizing of one of 12 megapixels takes 2 GB.
    """
    return Pipeline(
        [
            _Reduced("image", size),
            Resized(
                ("image", "label"),
                size,
                size_mode="longest",
                mode=("bilinear", "nearest"),
                anti_aliasing=(True, False),
                allow_missing_keys=True,
            ),
            SpatialPadd(("image", "label"), (size, size), allow_missing_keys=True),
            CastToTyped(("image", "label"), torch.uint8, allow_missing_keys=True),
        ]
    )


def plain_transforms(mean: Statistic, std: Statistic, zoom: Zoom = PLAIN_ZOOM) -> Pipeline:
    """Make a training augmentation within one camera, followed by normalisation.

    Args:
        mean: mean of the encoder's pretraining.
        std: standard deviation of the encoder's pretraining.
        zoom: least and largest magnification. Two domains that are aligned take the same, so that
            size tells nothing about the domain.
    """
    return Pipeline(
        [
            _scale_to_unit(),
            RandMoved(zoom),
            RandScaleIntensityd("image", factors=0.2, prob=0.5),
            RandAdjustContrastd("image", gamma=(0.75, 1.33), prob=0.5),
            *_normalise(("image",), mean, std),
        ]
    )


def strong_transforms(mean: Statistic, std: Statistic) -> Pipeline:
    """Make a training augmentation beyond one camera: other magnifications, other colours.

    It is for a labelled domain. It presumes nothing of the target but that it is a photograph.
    """
    return Pipeline(
        [
            _scale_to_unit(),
            RandMoved(STRONG_ZOOM),
            *_strong_colours("image"),
            *_normalise(("image",), mean, std),
        ]
    )


def weak_strong_transforms(mean: Statistic, std: Statistic) -> Pipeline:
    """Make transforms to two views: "image" for the teacher, "strong" for the segmenter.

    The two views of an unlabelled photograph share their geometry, so that the teacher's
    pseudo-labels fit both; "strong" has other colours.
    """
    return Pipeline(
        [
            _scale_to_unit(),
            RandMoved(STRONG_ZOOM),
            CopyItemsd("image", names="strong"),
            *_strong_colours("strong"),
            *_normalise(("image", "strong"), mean, std),
        ]
    )


def eval_transforms(mean: Statistic, std: Statistic) -> Pipeline:
    """Make the transforms of evaluation: the normalisation of `plain_transforms`, not random."""
    return Pipeline([_scale_to_unit(), *_normalise(("image",), mean, std)])


def content_size(height: int, width: int, size: int) -> tuple[int, int]:
    """Return the size to which `fixed_transforms` resizes a (height, width) image before it pads.

    Its longer side fills the (size, size) network input.
    """
    scale = size / max(height, width)
    return round(height * scale), round(width * scale)


def content_box(height: int, width: int, size: int) -> tuple[slice, slice]:
    """Locate a (height, width) image in the (size, size) network input: rows and columns.

    This inverts the geometry of `fixed_transforms`.
    """
    rows, columns = content_size(height, width, size)
    top, left = (size - rows) // 2, (size - columns) // 2
    return slice(top, top + rows), slice(left, left + columns)


class ToPlainTensors(MapTransform):
    """Transform that drops MONAI's metadata: images (3, H, W) float32, "label" (H, W) int64."""

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Tensor]:
        """Return the items as plain tensors; see the class."""
        plain = {key: torch.as_tensor(np.asarray(data[key])) for key in self.key_iterator(data)}
        if "label" in plain:
            plain["label"] = plain["label"][0].long()
        return plain


class RandMoved(RandomizableTransform, MapTransform):
    """Transform that mirrors, magnifies, turns and shifts "image" and "label" at random.

    All of it is one resampling. The magnification is that of "zoom", if the item has it, times a
    random one. Beyond its edge an image repeats its outermost pixels: a mirrored margin would show
    a part of a second disc.
    """

    # Not MONAI's RandAffined, which draws a scale for each axis, takes none from the item, and
    # leaves mirroring to a transform of its own.

    def __init__(self, zoom: Zoom) -> None:
        MapTransform.__init__(self, ("image", "label"), allow_missing_keys=True)
        RandomizableTransform.__init__(self)
        self.log_zoom = np.log(zoom)

    def randomize(self, data: Any = None) -> None:
        """Draw the movement."""
        self.mirrored = self.R.random() < 0.5
        self.zoom = float(np.exp(self.R.uniform(*self.log_zoom)))
        self.angle = self.R.uniform(-TURN, TURN)
        self.shift = self.R.uniform(-SHIFT, SHIFT, size=2)

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Return the moved items; see the class."""
        self.randomize()
        step = 1 / (self.zoom * data.get("zoom", 1.0))  # of the image's pixels, by output pixel
        moved = dict(data)
        size = data["image"].shape[1:]
        grid, _ = AffineGrid(
            rotate_params=self.angle,
            translate_params=list(self.shift * size[-1]),
            scale_params=(step, -step if self.mirrored else step),
        )(size)
        for key, mode in (("image", "bilinear"), ("label", "nearest")):
            if key in data:
                resample = Resample(mode, "border", dtype=np.float32)
                moved[key] = resample(data[key], grid)
        return moved


class _Reduced(MapTransform):
    """Transform that reduces images (3, H, W) uint8 whose longer side is above twice `size`."""

    def __init__(self, key: str, size: int) -> None:
        super().__init__(key, allow_missing_keys=True)
        self.size = size

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Return the items with reduced images; see the class."""
        reduced = dict(data)
        for key in self.key_iterator(data):
            height, width = data[key].shape[1:]
            scale = self.size / max(height, width)
            if scale >= 0.5:
                continue
            # Even sides, so that half of them are those that `content_box` expects.
            size = 2 * max(1, round(width * scale)), 2 * max(1, round(height * scale))
            image = Image.fromarray(np.asarray(data[key]).transpose(1, 2, 0))
            small = image.resize(size, Image.Resampling.HAMMING, reducing_gap=3.0)
            reduced[key] = torch.from_numpy(np.asarray(small).transpose(2, 0, 1).copy())
        return reduced


def _scale_to_unit() -> ScaleIntensityRanged:
    return ScaleIntensityRanged("image", a_min=0, a_max=255, b_min=0, b_max=1)


def _strong_colours(key: str) -> list[Any]:
    return [
        RandAdjustContrastd(key, gamma=(0.6, 1.65), prob=0.8),
        RandScaleIntensityd(key, factors=0.3, channel_wise=True, prob=0.8),
        RandScaleIntensityFixedMeand(key, factors=0.4, prob=0.8),
        RandShiftIntensityd(key, offsets=0.12, prob=0.5),
        RandGaussianSmoothd(key, sigma_x=(0.5, 1.5), sigma_y=(0.5, 1.5), prob=0.3),
        RandGaussianNoised(key, std=0.05, prob=0.3),
        ThresholdIntensityd(key, threshold=1, above=False, cval=1),
        ThresholdIntensityd(key, threshold=0, above=True, cval=0),
    ]


def _normalise(keys: tuple[str, ...], mean: Statistic, std: Statistic) -> list[Any]:
    return [
        NormalizeIntensityd(
            keys, subtrahend=np.array(mean), divisor=np.array(std), channel_wise=True
        ),
        ToPlainTensors((*keys, "label"), allow_missing_keys=True),
    ]
