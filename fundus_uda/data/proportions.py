"""Photographs whose cups have other sizes: what a target may have and the source has not.

Aligning predictions presumes that both domains share their proportions. Two clinics rarely do: a
glaucoma clinic's cups are larger than those of a screening. Stretching what is inside a labelled
disc, along its radii, shows the network cups of all sizes in the source's own photographs.
"""

import math
from collections.abc import Hashable, Mapping
from typing import Any

import torch
from monai.config import KeysCollection
from monai.transforms import MapTransform, RandomizableTransform
from torch import Tensor
from torch.nn import functional as F

from fundus_uda.data.masks import BACKGROUND


def resize_cup(image: Tensor, label: Tensor, gamma: float) -> tuple[Tensor, Tensor]:
    r"""Stretch the inside of the disc along its radii: what was at rho^gamma comes to rho.

    rho is the distance from the disc's centre in units of the disc's ellipse (that of the same
    second moments), so that centre, disc border and everything outside stay where they are. The
    cup's radius r, in those units, becomes r^(1 / gamma).

    Args:
        image: (3, H, W) float32.
        label: (1, H, W) of 0 background, 1 rim, 2 cup, any dtype.
        gamma: above 1 the cup grows, below 1 it shrinks.

    Returns:
        Both, in new tensors; a label without a disc comes back as it is.
    """
    disc = label[0] != BACKGROUND
    if not disc.any():
        return image, label
    height, width = disc.shape
    identity = torch.eye(2, 3)[None]
    grid = F.affine_grid(identity, [1, 1, height, width], align_corners=False)[0]  # (H, W, xy)
    inside = grid[disc]
    centre = inside.mean(dim=0)
    spread = (inside - centre).T @ (inside - centre) / len(inside)
    # An ellipse's second moments are a quarter of its squared half axes.
    shape = torch.linalg.inv(4 * spread + 1e-6 * torch.eye(2))
    offset = grid - centre
    rho = torch.einsum("hwi,ij,hwj->hw", offset, shape, offset).clamp(min=1e-8).sqrt()
    factor = torch.where(rho < 1, rho ** (gamma - 1), torch.ones(()))
    source = (centre + offset * factor[..., None])[None]

    def at_source(map_CHW: Tensor, mode: str) -> Tensor:
        return F.grid_sample(
            map_CHW.float()[None], source, mode=mode, padding_mode="border", align_corners=False
        )[0]

    return at_source(image, "bilinear"), at_source(label, "nearest").to(label.dtype)


class RandCupSized(RandomizableTransform, MapTransform):
    """`resize_cup` of "image" and "label" with log gamma uniform between two bounds.

    A sample without a label comes back as it is.
    """

    def __init__(self, keys: KeysCollection, gamma: tuple[float, float], prob: float) -> None:
        MapTransform.__init__(self, keys, allow_missing_keys=True)
        RandomizableTransform.__init__(self, prob)
        self.range = (math.log(gamma[0]), math.log(gamma[1]))
        self.gamma = 1.0

    def randomize(self, data: Any = None) -> None:
        """Draw whether, and by how much."""
        super().randomize(data)
        self.gamma = math.exp(self.R.uniform(*self.range))

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """See the class."""
        changed = dict(data)
        self.randomize()
        if self._do_transform and "label" in changed:
            image, label = (torch.as_tensor(changed[key]) for key in ("image", "label"))
            changed["image"], changed["label"] = resize_cup(image, label, self.gamma)
        return changed
