"""Outlines as JSON files of LabelMe, which draws polygons on a picture.

LabelMe has no library to write its files without a window system. The keys are those of its own
`LabelFile`; points are in pixels of the picture, whose upper left corner is (0, 0).
"""

import json
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from skimage.draw import polygon2mask
from skimage.measure import approximate_polygon

from fundus_uda.errors import InputError
from fundus_uda.masks.classes import BACKGROUND, CUP, Mask, disc_and_cup_to_classes
from fundus_uda.masks.outlines import smooth_outlines
from fundus_uda.paths import require_no_stream

DISC_LABEL, CUP_LABEL = "optic disc", "optic cup"
LABELS = {
    DISC_LABEL: DISC_LABEL, "disc": DISC_LABEL, "od": DISC_LABEL,
    CUP_LABEL: CUP_LABEL, "cup": CUP_LABEL, "oc": CUP_LABEL,
}  # fmt: skip
"""Labels that are read, in small letters, and the structure that each means."""
TOLERANCE = 0.25
"""Largest distance in pixels between a written polygon and the smooth outline."""
VERSION = "5.5.0"
"""Version of LabelMe whose form is written."""
LARGEST_SIDE, MOST_PIXELS = 2**15, 2**26
"""Largest height or width, and number of pixels, that are read: to fill 67 megapixels takes 1 GB,
and a damaged file may announce any number."""


def labelme_text(mask: Mask, image: str) -> str:
    """Write the outlines of disc and cup in a mask as polygons.

    Args:
        mask: (H, W) uint8 in {0, 1, 2}.
        image: path of the picture, relative to the file that gets the text.
    """
    shapes = [
        {
            "label": label,
            "points": np.round(approximate_polygon(line, TOLERANCE), 2).tolist(),
            "group_id": None,
            "description": "",
            "shape_type": "polygon",
            "flags": {},
            "mask": None,
        }
        for label, structure in ((DISC_LABEL, mask != BACKGROUND), (CUP_LABEL, mask == CUP))
        for line in smooth_outlines(structure)
    ]
    contents = {
        "version": VERSION,
        "flags": {},
        "shapes": shapes,
        "imagePath": image,
        "imageData": None,
        "imageHeight": mask.shape[0],
        "imageWidth": mask.shape[1],
    }
    return json.dumps(contents, indent=2) + "\n"


def read_mask_labelme(path: Path, skips_others: bool = False) -> tuple[Mask, int]:
    """Read polygons labelled "optic disc" ("disc", "OD") and "optic cup" ("cup", "OC").

    Args:
        path: file of LabelMe.
        skips_others: whether shapes with other labels are skipped, and not refused.

    Returns:
        (H, W) uint8 in {0, 1, 2}, of the size that the file states; the count of cup pixels that
        lay outside the disc, and were clipped.

    Raises:
        InputError: not such a file, a shape of another kind or label, or no polygon of the disc.
    """
    try:
        require_no_stream(path)
        contents = json.loads(path.read_text(encoding="utf-8"))
        size = int(contents["imageHeight"]), int(contents["imageWidth"])
        shapes = [(str(s["label"]), str(s["shape_type"]), s["points"]) for s in contents["shapes"]]
    except (OSError, ValueError, KeyError, TypeError, OverflowError, RecursionError) as error:
        raise InputError(
            f"Expected outlines in a JSON of LabelMe at {path}. Got: {type(error).__name__}. Save "
            f"it anew with LabelMe, or remove it."
        ) from None
    if not all(0 < side <= LARGEST_SIDE for side in size) or size[0] * size[1] > MOST_PIXELS:
        raise InputError(
            f"Expected the height and width of a picture in {path}. Got: {size[0]} and {size[1]}. "
            f"Save it anew with LabelMe."
        )
    filled = {label: np.zeros(size, dtype=bool) for label in (DISC_LABEL, CUP_LABEL)}
    for label, kind, points in shapes:
        structure = LABELS.get(label.strip().lower())
        if structure is None and skips_others:
            continue
        if structure is None or kind != "polygon":
            raise InputError(
                f"Expected polygons with the label {DISC_LABEL!r} or {CUP_LABEL!r} in {path}. Got: "
                f"a {kind} with the label {label!r}. Draw it as such a polygon, or remove it."
            )
        filled[structure] |= _filled(points, size, path)
    if not filled[DISC_LABEL].any():
        raise InputError(
            f"Expected a polygon with the label {DISC_LABEL!r} in {path}. Got: none. Draw it."
        )
    return disc_and_cup_to_classes(filled[DISC_LABEL], filled[CUP_LABEL])


def _filled(points: object, size: tuple[int, int], path: Path) -> NDArray[np.bool_]:
    try:
        corners = np.asarray(points, dtype=np.float64)
    except (ValueError, TypeError):
        corners = np.empty(0)
    shape = corners.shape
    if len(shape) != 2 or shape[0] < 3 or shape[1] != 2 or not np.isfinite(corners).all():
        raise InputError(
            f"Expected polygons of at least three points (x, y) in {path}. Got: shape "
            f"{shape}, or points that are none. Draw it anew, or remove it."
        )
    # The middle of pixel (0, 0) lies at (0.5, 0.5) of the picture.
    inside: NDArray[np.bool_] = polygon2mask(size, corners[:, ::-1] - 0.5)
    return inside
