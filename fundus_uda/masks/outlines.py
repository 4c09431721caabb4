"""Outlines of disc and cup, drawn into a photograph or as SVG paths."""

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from skimage.measure import approximate_polygon, find_contours
from skimage.segmentation import find_boundaries
from torch.nn import functional as F

from fundus_uda.masks.classes import BACKGROUND, CUP, Mask, Photograph

DISC_COLOUR, CUP_COLOUR = (64, 224, 64), (64, 160, 255)


def overlay(photograph: Photograph, mask: Mask) -> Photograph:
    """Draw the outlines of disc (green) and cup (blue) into a copy of a photograph (H, W, 3)."""
    drawn = photograph.copy()
    width = max(1, round(max(mask.shape) / 300))
    for structure, colour in ((mask != BACKGROUND, DISC_COLOUR), (mask == CUP, CUP_COLOUR)):
        edge = torch.from_numpy(find_boundaries(structure, mode="inner")).float()[None, None]
        thick = F.max_pool2d(edge, 2 * width - 1, stride=1, padding=width - 1)[0, 0].bool()
        drawn[thick.numpy()] = colour
    return drawn


def svg_path(structure: NDArray[np.bool_], size: tuple[int, int]) -> str:
    """Trace the outline of a structure as the `d` attribute of an SVG path.

    Args:
        structure: (H, W) bool.
        size: height and width of the picture under the path.

    Returns:
        Closed lines in pixels of the picture, exact to half a pixel; "" for an empty structure.
    """
    grey = Image.fromarray(structure.astype(np.uint8) * 255)
    small = np.asarray(grey.resize((size[1], size[0]), Image.Resampling.BOX)) / 255
    lines = []
    for contour in find_contours(np.pad(small, 1), 0.5):
        points = approximate_polygon(contour, tolerance=0.4)[:-1] - 0.5  # less the padding
        if len(points) > 2:
            lines.append("M" + "L".join(f"{x:.1f} {y:.1f}" for y, x in points) + "Z")
    return "".join(lines)
