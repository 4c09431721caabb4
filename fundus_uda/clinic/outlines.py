"""Masks to the paths of an SVG."""

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from skimage.measure import approximate_polygon, find_contours


def svg_path(structure: NDArray[np.bool_], size: tuple[int, int]) -> str:
    """The outline of a structure as the `d` of an SVG path.

    Args:
        structure: (H, W).
        size: height and width of the picture that the path lies on.

    Returns:
        Closed lines in coordinates of the picture, exact to half a pixel of it; "" for nothing.
    """
    grey = Image.fromarray(structure.astype(np.uint8) * 255)
    small = np.asarray(grey.resize((size[1], size[0]), Image.Resampling.BOX)) / 255
    lines = []
    for contour in find_contours(np.pad(small, 1), 0.5):
        points = approximate_polygon(contour, tolerance=0.4)[:-1] - 0.5  # less the padding
        if len(points) > 2:
            lines.append("M" + "L".join(f"{x:.1f} {y:.1f}" for y, x in points) + "Z")
    return "".join(lines)
