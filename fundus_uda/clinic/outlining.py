"""One photograph, whole or a crop: its disc is found and outlined, or it is told why not."""

from typing import NamedTuple

import numpy as np
from torch import Tensor

from fundus_uda.clinic.crops import reason_without_disc
from fundus_uda.clinic.locate import locate_disc
from fundus_uda.masks.classes import BACKGROUND, Mask, Photograph
from fundus_uda.masks.postprocess import remove_small_components
from fundus_uda.masks.region import DiscRegion
from fundus_uda.segmentation.model import Model
from fundus_uda.segmentation.prediction import Prediction, mask_of, outline
from fundus_uda.segmentation.quality import is_disc, quality

UNSURE = (
    "Expected the outline of a disc, round or the same in a mirror. Got: neither, though the "
    "search found the place. Adapt the network to this camera with `fundus-uda adapt`."
)


class Outlined(NamedTuple):
    """A disc that was found in a photograph and outlined."""

    region: DiscRegion
    around: Photograph
    """Photograph, cropped to the region."""
    prediction: Prediction
    mask: Mask
    """Mask at the photograph's size."""
    seen: Mask
    """Mask of the region, empty beyond the photograph's border."""
    quality: dict[str, float]


class WithoutOutline(NamedTuple):
    """A photograph in which no disc was outlined."""

    status: str
    """`no_disc`, or `network_unsure`."""
    reason: str
    around: Photograph | None = None
    """Photograph, cropped to the place that the search found, where the network is unsure."""


def outlined_region(model: Model, photograph: Photograph) -> Outlined | WithoutOutline:
    """Find the disc in a photograph (H, W, 3) and outline it."""
    looked_at: list[tuple[Photograph, Tensor]] = []

    def segment(crop: Photograph) -> Mask:
        views = model.views(crop[None], flips=True)
        looked_at.append((crop, views))
        height, width = crop.shape[:2]
        return mask_of(model.probabilities(views), (height, width), filled=False)

    region = locate_disc(photograph, segment)
    if region is None:
        return WithoutOutline("no_disc", reason_without_disc(photograph))
    around = region.crop(photograph)
    # The search has mostly looked at the same square.
    known = (views for crop, views in looked_at if np.array_equal(crop, around))
    prediction = outline(model, around, views=next(known, None))
    height, width = photograph.shape[:2]
    mask = region.paste(remove_small_components(prediction.mask), (height, width))
    unsure = WithoutOutline("network_unsure", UNSURE, around)
    if not mask.any():
        return unsure
    seen = region.crop(mask)
    judged = quality(around, seen, prediction)
    return Outlined(region, around, prediction, mask, seen, judged) if is_disc(judged) else unsure


def outline_photograph(model: Model, photograph: Photograph) -> Mask:
    """Outline a photograph (H, W, 3), whole or a crop around the disc, as `predict` does.

    Returns:
        The mask (H, W) that `predict` writes; all background where it writes none.
    """
    found = outlined_region(model, photograph)
    if isinstance(found, Outlined):
        return found.mask
    return np.full(photograph.shape[:2], BACKGROUND, np.uint8)
