"""Random crops for training a translation: squares of an image, mirrored or not."""

import torch
from torch import Tensor
from torch.nn import functional as F

from fundus_uda.engine.batches import SampleKey
from fundus_uda.errors import InputError
from fundus_uda.translation.images import Domain, Image


class RandomCrops:
    """Random squares of a domain's images, in [-1, 1]; a `SeededDataset` without labels.

    Args:
        domain: images to crop.
        crop: side of the squares in pixels at working size.

    Raises:
        InputError: an unreadable image, or one smaller than the squares. If the domain is not kept
            in memory, this is raised when the image is read.
    """

    def __init__(self, domain: Domain, crop: int) -> None:
        self.domain, self.crop = domain, crop
        self.cached = [self._pixels(i) for i in range(len(domain))] if domain.in_memory else []

    def __len__(self) -> int:
        return len(self.domain)

    def __getitem__(self, key: SampleKey) -> dict[str, Tensor]:
        """Return {"image": (3, crop, crop) float32}, cropped and mirrored by `key.seed`."""
        pixels = self.cached[key.sample] if self.cached else self._pixels(key.sample)
        generator = torch.Generator().manual_seed(key.seed)
        top, left = (
            int(torch.randint(length - self.crop + 1, (), generator=generator))
            for length in pixels.shape[1:]
        )
        square = pixels[:, top : top + self.crop, left : left + self.crop]
        if torch.rand((), generator=generator) < 0.5:
            square = square.flip(2)
        return {"image": to_unit(square)}

    def name(self, key: SampleKey) -> str:
        """Return the id of the image that a key stands for."""
        return self.domain.ids[key.sample]

    def _pixels(self, index: int) -> Tensor:
        """Read an image at working size, (3, h, w) uint8."""
        pixels = at_working_size(self.domain.read(index), self.domain)
        height, width = pixels.shape[1:]
        if min(height, width) < self.crop:
            raise InputError(
                f"Expected images of at least {self.crop} pixels (`crop`) at the size of the "
                f"model. Got: {width}x{height} for {self.domain.ids[index]}. Lower crop."
            )
        return pixels


def at_working_size(image: Image, domain: Domain) -> Tensor:
    """Resize an image (H, W, 3) for the networks, to (3, h, w) uint8."""
    pixels = torch.from_numpy(image.copy()).permute(2, 0, 1)
    size = domain.working_size(*image.shape[:2])
    return F.interpolate(pixels[None], size=size, mode="bilinear", antialias=True)[0]


def to_unit(pixels: Tensor) -> Tensor:
    """Scale pixels in [0, 255] to float32 in [-1, 1]."""
    return pixels.float() / 127.5 - 1
