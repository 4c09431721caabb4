"""Pool of past translations, so that a discriminator does not forget them (CycleGAN, Section 4)."""

from typing import Any

import torch
from torch import Tensor


class ImagePool:
    """Pool of up to `capacity` translated images, each (3, H, W)."""

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self.images: list[Tensor] = []

    def exchange(self, batch: Tensor, seed: int) -> Tensor:
        """Return a batch (B, 3, H, W) in which about every other image is an older one.

        Until the pool is full, new images are kept and returned. After that, each is returned
        or swapped for a kept one with equal probability.

        Args:
            batch: new translations (B, 3, H, W), detached.
            seed: seed of the random choices.
        """
        generator = torch.Generator().manual_seed(seed)
        given = []
        for image in batch:
            if len(self.images) < self.capacity:
                self.images.append(image.clone())
                given.append(image)
            elif self.capacity and torch.rand((), generator=generator) < 0.5:
                place = int(torch.randint(self.capacity, (), generator=generator))
                given.append(self.images[place])
                self.images[place] = image.clone()
            else:
                given.append(image)
        return torch.stack(given)

    def state_dict(self) -> dict[str, Any]:
        """Return the kept images, in order."""
        return {"images": list(self.images)}

    def load_state_dict(self, saved: dict[str, Any], device: torch.device) -> None:
        """Restore what `state_dict` returned."""
        self.images = [image.to(device) for image in saved["images"]]
