"""Read mask files of every known encoding as classes: 0 background, 1 rim, 2 cup."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps
from scipy.io import loadmat
from skimage.draw import polygon2mask

from fundus_uda.data.samples import Sample, refusal
from fundus_uda.errors import InputError
from fundus_uda.masks.classes import BACKGROUND, CUP, RIM, Mask, disc_and_cup_to_classes
from fundus_uda.masks.labelme import read_mask_labelme
from fundus_uda.masks.nifti import NIFTI_SUFFIXES, read_mask_nifti
from fundus_uda.paths import require_no_stream

_Grey = NDArray[np.uint8]
"""Values (H, W) of a mask file, before they are read as classes."""

_REFUGE = {255: BACKGROUND, 128: RIM, 0: CUP}
_TOLERANCE = 50
"""Largest difference, in grey values, by which compression or smoothing may move a level."""


def read_mask(sample: Sample) -> tuple[Mask, int]:
    """Read the mask of a sample as classes, with the cup clipped to the disc.

    Returns:
        (H, W) uint8 in {0, 1, 2}, at the size of the mask file; the count of cup pixels that were
        clipped.

    Raises:
        InputError: unreadable file, unknown values, or disc and cup of different sizes.
    """
    if sample.encoding == "labels":
        return _from_labels(sample.masks[0]), 0
    if sample.encoding in ("labelme", "grape"):
        return read_mask_labelme(sample.masks[0], skips_others=sample.encoding == "grape")
    if sample.encoding == "matlab":
        return _from_matlab(sample.masks[0]), 0
    if sample.encoding == "contours":
        return _from_contours(sample)
    files = [_read_grey(path, sample.stereo) for path in sample.masks]
    if sample.encoding == "refuge":
        return _from_levels(files[0], sample.masks[0], _REFUGE), 0
    for file, path in zip(files, sample.masks, strict=True):
        _require_white(file, path, binary=sample.encoding == "disc_cup")
    threshold = {"disc_cup": 127, "soft_majority": 127, "soft_any": 0, "soft_all": 254}
    disc, cup = (file > threshold[sample.encoding] for file in files)
    if disc.shape != cup.shape:
        raise InputError(
            f"Expected masks of one size. Got: {_size(disc)} in {sample.masks[0]} and "
            f"{_size(cup)} in {sample.masks[1]}. Draw both on the same photograph."
        )
    return disc_and_cup_to_classes(disc, cup)


def _from_matlab(path: Path) -> Mask:
    """Read the classes in a MATLAB file, named `mask`, or `maskFullArea` in older copies."""
    try:
        require_no_stream(path)
        contents = loadmat(path)
    except Exception as error:  # a decoder may raise anything on damaged bytes
        raise InputError(
            f"Expected a mask in a MATLAB file at {path}. Got: {type(error).__name__}. Replace or "
            f"remove it."
        ) from None
    for name in ("mask", "maskFullArea"):
        if name in contents and np.ndim(contents[name]) == 2:
            values = np.asarray(contents[name])
            if not np.isin(values, (BACKGROUND, RIM, CUP)).all():
                raise _unknown_values(path, values, "0 background, 1 rim, 2 cup")
            return values.astype(np.uint8)
    held = ", ".join(name for name in contents if not name.startswith("_"))
    raise InputError(f"Expected a matrix `mask` in {path}. Got: {held or 'nothing'}.")


def _from_contours(sample: Sample) -> tuple[Mask, int]:
    """Fill the contours of disc and cup, text files of rows `x y` in pixels of the photograph."""
    with Image.open(sample.image) as image:
        columns, rows = ImageOps.exif_transpose(image).size
    disc, cup = (_filled(path, (rows, columns)) for path in sample.masks)
    return disc_and_cup_to_classes(disc, cup)


def _filled(path: Path, shape: tuple[int, int]) -> NDArray[np.bool_]:
    try:
        require_no_stream(path)
        points = np.loadtxt(path, ndmin=2)
    except (OSError, ValueError) as error:
        points, got = np.empty((0, 0)), type(error).__name__
    else:
        got = f"shape {points.shape}"
    if points.ndim != 2 or points.shape[0] < 3 or points.shape[1] != 2:
        raise InputError(
            f"Expected a contour of at least three rows `x y` in {path}. Got: {got}. Replace or "
            f"remove it."
        )
    inside: NDArray[np.bool_] = polygon2mask(shape, points[:, ::-1])
    return inside


def left_half(image: NDArray[np.generic]) -> NDArray[np.generic]:
    """Return the left photograph of a stereo pair (H, W, ...), or the image if it is no pair.

    Pairs of RIM-ONE r3 are 2144x1424, wider than high; a single photograph is higher than wide.
    """
    height, width = image.shape[:2]
    half: NDArray[np.generic] = image[:, : width // 2] if width > 1.2 * height else image
    return half


def _open_upright(path: Path) -> Image.Image:
    """Open a mask file, turned by its EXIF orientation as its photograph is."""
    try:
        require_no_stream(path)
        with Image.open(path) as file:
            return ImageOps.exif_transpose(file)
    except Exception as error:  # a decoder may raise anything on damaged bytes
        # its message may quote the path in another spelling
        bomb = isinstance(error, Image.DecompressionBombError)
        got = refusal(error) if bomb else type(error).__name__
        raise InputError(
            f"Expected a mask image at {path}. Got: {got}. Replace or remove it."
        ) from None


def _read_grey(path: Path, stereo: bool) -> _Grey:
    grey = np.asarray(_open_upright(path).convert("L"))
    return np.asarray(left_half(grey) if stereo else grey, dtype=np.uint8)


def _require_white(grey: _Grey, path: Path, binary: bool) -> None:
    """Raise an InputError unless the structure is white.

    A file of dim values alone has another encoding, and would be read as an empty mask.
    """
    between = (grey > 50) & (grey < 205)
    if 0 < grey.max() <= 50 or (binary and between.any()):
        raise _unknown_values(path, grey, "0 and 255" if binary else "from 0 to 255")


def _from_levels(grey: _Grey, path: Path, levels: dict[int, int]) -> Mask:
    values = np.fromiter(levels, dtype=np.int16)
    distance = np.abs(grey[..., None].astype(np.int16) - values)
    if distance.min(axis=-1).max() > _TOLERANCE:
        raise _unknown_values(path, grey, "about " + ", ".join(map(str, sorted(levels))))
    classes: Mask = np.asarray(list(levels.values()), dtype=np.uint8)[distance.argmin(axis=-1)]
    return classes


def _from_labels(path: Path) -> Mask:
    """Read class indices or REFUGE's grey values, whichever makes sense for a palette file.

    A slice of NIfTI has class indices.
    """
    if path.name.lower().endswith(NIFTI_SUFFIXES):
        return read_mask_nifti(path)[0]
    image = _open_upright(path)
    grey = np.asarray(image.convert("L"), dtype=np.uint8)
    if image.mode != "P":
        return _from_values(grey, path)
    indices = np.asarray(image, dtype=np.uint8)
    if not _looks_like_refuge(image):
        return _from_values(indices, path)
    by_colour = _from_levels(grey, path, _REFUGE)
    if set(np.unique(indices)) <= set(_REFUGE.values()) and (indices != by_colour).any():
        raise InputError(
            f"Expected one meaning of the palette of {path}. Got: indices that say 0 background, "
            f"1 rim, 2 cup, and colours that say REFUGE's 255 background, 128 rim, 0 cup. Save the "
            f"mask as a grey picture with one of those sets of values."
        )
    return by_colour


def _looks_like_refuge(image: Image.Image) -> bool:
    """Check whether the colours in use are greys near REFUGE's, the rim's among them."""
    palette = np.zeros((256, 3), dtype=np.int16)
    listed = image.getpalette() or []
    palette.flat[: len(listed)] = listed
    colours = palette[np.unique(np.asarray(image))]
    near = np.abs(colours[:, :1] - list(_REFUGE)) <= _TOLERANCE  # (colour, level)
    is_grey = (colours == colours[:, :1]).all()
    return bool(is_grey and near.any(axis=1).all() and near[:, list(_REFUGE).index(128)].any())


def _from_values(values: _Grey, path: Path) -> Mask:
    found = set(np.unique(values).tolist())
    if found <= {BACKGROUND, RIM, CUP}:
        return values
    if found <= set(_REFUGE) and 128 in found:
        return _from_levels(values, path, _REFUGE)
    if found <= {0, 255}:
        raise InputError(
            f"Expected mask values 0 background, 1 rim, 2 cup in {path}. Got: 0, 255 alone, "
            f"as of one structure. Write both into one file: 0, then 1 where the disc's file is "
            f"255, then 2 where the cup's is."
        )
    raise _unknown_values(
        path, values, "0 background, 1 rim, 2 cup (or REFUGE's 255 background, 128 rim, 0 cup)"
    )


def _unknown_values(path: Path, grey: _Grey, expected: str) -> InputError:
    found = np.unique(grey)
    listed = ", ".join(map(str, found[:8])) + (", ..." if len(found) > 8 else "")
    return InputError(
        f"Expected mask values {expected} in {path}. Got: {listed}. "
        f"Save the mask anew with those values."
    )


def _size(mask: NDArray[np.generic]) -> str:
    return f"{mask.shape[1]}x{mask.shape[0]}"
