"""Sizes of disc and cup, and the draw by which a source shows those of a target.

A discriminator tells two domains apart by the sizes of disc and cup before anything else, and
fooling it then makes those on the target as small, or as large, as the source's. Where the labels
are distributed differently, aligning the predictions must err (Tachet des Combes et al., NeurIPS
2020). So the source is made to show the target's sizes first.
"""

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from fundus_uda.masks.classes import BACKGROUND, Mask
from fundus_uda.masks.measurements import vertical_cup_to_disc_ratio

Sizes = NDArray[np.float64]
"""(n, 2): the disc's share of an image, in [0, 1], and the vertical cup-to-disc ratio, by image;
NaN for an image without a disc."""

ZOOM = (0.5, 2.0)
"""Least and largest magnification of a source image."""
NEAREST = 8
"""Number of source images, those nearest in ratio, among which one is drawn."""
ENOUGH = 8
"""Least number of images with a disc that tell the sizes of a domain."""


class Drawn(NamedTuple):
    """Source image that is shown, and its magnification."""

    sample: int
    zoom: float


class SizeDraw:
    """Draw of source images whose discs are as large as a target's.

    Each draw takes a ratio and a disc share, one of the source images nearest to that ratio, and
    magnifies it until its disc fills that share. The shares are the target's. The ratios are

    - uniform between the least and the largest in the source, by default: an estimate of the
      target's is itself drawn towards the ratios that the network learnt from, and would confirm
      them;
    - the target's too, each with its share, where the domains are aligned: what a discriminator
      finds equal, it leaves alone.
    """

    def __init__(self, own: Sizes, wanted: Sizes, aligned: bool) -> None:
        """Prepare the draw.

        Args:
            own: sizes in the source images; those without a disc are never drawn.
            wanted: sizes in the target's images, none of them NaN.
            aligned: whether the ratios are the target's.
        """
        self.own, self.wanted, self.aligned = own, wanted, aligned
        self.samples = np.flatnonzero(np.isfinite(own).all(axis=1))
        self.ratios = own[self.samples, 1]

    def draw(self, seed: int) -> Drawn:
        """Return the source image of a seed."""
        generator = np.random.default_rng(seed)
        share, ratio = generator.choice(self.wanted)
        if not self.aligned:
            ratio = generator.uniform(self.ratios.min(), self.ratios.max())
        nearest = np.argsort(np.abs(self.ratios - ratio), kind="stable")[:NEAREST]
        sample = int(self.samples[generator.choice(nearest)])
        zoom = float(np.sqrt(share / self.own[sample, 0]))
        return Drawn(sample, min(max(zoom, ZOOM[0]), ZOOM[1]))


def sizes_of(masks: Iterable[Mask]) -> Sizes:
    """Measure disc and cup in masks, at least one."""
    return np.array(
        [
            ((mask != BACKGROUND).mean() or np.nan, vertical_cup_to_disc_ratio(mask))
            for mask in masks
        ]
    )


def reason_not_to_match(own: Sizes, wanted: Sizes) -> str:
    """Say why a source cannot show the sizes of a target; empty if it can.

    Args:
        own: sizes in the source images.
        wanted: sizes in those images of the target in which a disc and a cup are found.
    """
    if len(wanted) < ENOUGH:
        return (
            f"a disc and a cup are found in {len(wanted)} of the target's images, of at least "
            f"{ENOUGH}"
        )
    zoom = np.sqrt(np.median(wanted[:, 0]) / np.nanmedian(own[:, 0]))
    if not ZOOM[0] <= zoom <= ZOOM[1]:
        return (
            f"the source would have to be magnified by {zoom:.2f}, which is beyond {ZOOM[0]} "
            f"to {ZOOM[1]}"
        )
    return ""
