"""Past translations for a discriminator, so that it does not forget them (CycleGAN, Section 4)."""

from typing import Any

import torch
from torch import Tensor


class History:
    """Up to `capacity` translated images, each (3, H, W)."""

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self.images: list[Tensor] = []

    def exchange(self, batch: Tensor, seed: int) -> Tensor:
        """A batch (B, 3, H, W) in which about every other image is an older one.

        Until the history is full, the new images are kept and given back. Then, each is given
        back, or swapped for a kept one, with equal probability.

        Args:
            batch: new translations, detached.
            seed: of the choices.
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
        """The kept images, in order."""
        return {"images": list(self.images)}

    def load_state_dict(self, saved: dict[str, Any], device: torch.device) -> None:
        """Restore what `state_dict` gave."""
        self.images = [image.to(device) for image in saved["images"]]
