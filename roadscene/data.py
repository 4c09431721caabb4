"""Known dataset layouts: data URIs (`KIND:PATH` or `KIND:PATH#SPLIT`) to frames and their labels.

Each row of `LAYOUTS` says where one public dataset, as unpacked, keeps its images and labels.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray
from PIL import Image

from fundus_uda.config.data_uri import parse_data_uri
from fundus_uda.errors import InputError
from fundus_uda.paths import require_no_stream
from fundus_uda.unfinished import require_whole
from roadscene.classes import train_ids

IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".jfif", ".tif", ".tiff", ".bmp", ".webp", ".ppm")
ANY_IMAGE = f"{{{','.join(IMAGE_SUFFIXES)}}}"
CITIES = ("Rio", "Rome", "Taipei", "Tokyo")


@dataclass(frozen=True)
class Frame:
    """One image, with its label file if it has one."""

    id: str
    image: Path
    label: Path | None = None
    encoding: str = ""
    """Encoding of the label, a key of `classes.ENCODINGS`."""


@dataclass(frozen=True)
class Layout:
    """One dataset: `find(root, split)` lists the frames of one split."""

    find: Callable[[Path, str], list[Frame]]
    splits: tuple[str, ...]
    images: str
    """Pattern of the image files below the root; SPLIT stands for the name of a split."""


def load_frames(uri: str) -> list[Frame]:
    """List the frames at a data URI, sorted by id.

    Args:
        uri: `KIND:PATH` for all splits that are there, or `KIND:PATH#SPLIT`.

    Raises:
        InputError: unknown kind or split, missing folder or city, no image found.
    """
    splits = {kind: layout.splits for kind, layout in LAYOUTS.items()}
    kind, root, split = parse_data_uri(uri, splits)
    if kind == "cross-city":
        _require_city(root)
    if not root.is_dir():
        raise InputError(f"Expected {kind} data at {root}. Got: no such folder.")
    require_whole(root)
    layout = LAYOUTS[kind]
    frames = [
        frame for name in ([split] if split else layout.splits) for frame in layout.find(root, name)
    ]
    if not frames:
        found = ", ".join(sorted(path.name for path in root.iterdir())[:12])
        raise InputError(
            f"Expected {kind} images at {uri}, of the pattern {layout.images}. Got: none. "
            f"In {root}: {found or 'nothing'}."
        )
    return sorted(frames, key=lambda frame: frame.id)


def require_labels(frames: list[Frame], uri: str) -> list[Frame]:
    """Return the frames if all of them have a label file.

    Raises:
        InputError: a frame has none; names the first and where its label was looked for.
    """
    lacking = [frame for frame in frames if frame.label is None or not frame.label.is_file()]
    if lacking:
        first = lacking[0]
        sought = f" (looked for {first.label})" if first.label else ""
        raise InputError(
            f"Expected a label for each of the {len(frames)} images at {uri}. Got: none for "
            f"{len(lacking)}, of which the first is {first.image}{sought}. Add the labels, or use "
            f"this set as a target only."
        )
    return frames


def without_labels(frames: list[Frame]) -> list[Frame]:
    """Remove every trace of labels from frames, so that adaptation cannot read them."""
    return [replace(frame, label=None, encoding="") for frame in frames]


def read_image(path: Path) -> Image.Image:
    """Read an image as RGB.

    Raises:
        InputError: not an image, or a truncated one.
    """
    try:
        require_no_stream(path)
        with Image.open(path) as image:
            if image.mode.startswith(("I", "F")):  # Pillow would clip 16 bits to white
                raise ValueError(f"pixels of mode {image.mode}, not 8 bits; save it as 8-bit RGB")
            return image.convert("RGB")
    except Exception as error:  # a decoder may raise anything on damaged bytes
        raise InputError(
            f"Expected a readable image at {path}. Got: {error}. Replace or remove it."
        ) from None


def require_readable_header(path: Path) -> None:
    """Check the header of an image file without decoding its pixels.

    Raises:
        InputError: not an image, or an empty file.
    """
    try:
        require_no_stream(path)
        with Image.open(path):
            pass
    except Exception as error:  # a decoder may raise anything on damaged bytes
        raise InputError(
            f"Expected a readable image at {path}. Got: {error}. Replace or remove it."
        ) from None


def read_label(frame: Frame, classes: int) -> NDArray[np.uint8]:
    """Read the label of a frame, (H, W), as indices of the 19, 16 or 13 classes or `IGNORE`.

    Raises:
        InputError: see `read_ids`.
    """
    table = np.zeros(256, np.uint8)
    for label_id, index in train_ids(frame.encoding, classes).items():
        table[label_id] = index
    indices: NDArray[np.uint8] = table[read_ids(frame)]
    return indices


def read_ids(frame: Frame) -> NDArray[np.int64]:
    """Read the ids in a frame's label file, (H, W), and check that its encoding has them.

    Raises:
        InputError: an unreadable file, a colour picture, ids outside the encoding's table, or
            a SYNTHIA label with id 0 alone.
    """
    assert frame.label is not None
    ids = _synthia_ids(frame.label) if frame.encoding == "synthia" else _plain_ids(frame.label)
    known = train_ids(frame.encoding, 19)
    unknown = sorted(set(np.unique(ids).tolist()) - known.keys())
    if unknown:
        raise InputError(
            f"Expected {frame.encoding} ids from {min(known)} to {max(known)} in {frame.label}. "
            f"Got: {', '.join(map(str, unknown[:8]))}. Is it a label of another kind?"
        )
    return ids


def images_in(folder: Path) -> list[Path]:
    """List the image files directly in a folder, sorted; none if there is no such folder."""
    if not folder.is_dir():
        return []
    return [
        path
        for path in sorted(folder.iterdir())
        if path.suffix.lower() in IMAGE_SUFFIXES and not path.name.startswith(".")
    ]


def _plain_ids(path: Path) -> NDArray[np.int64]:
    try:
        require_no_stream(path)
        with Image.open(path) as image:
            mode, ids = image.mode, np.asarray(image)
    except Exception as error:  # a decoder may raise anything on damaged bytes
        raise _unreadable_label(path, error) from None
    if ids.ndim != 2 or mode == "1":  # palette files (mode P) hold ids
        raise InputError(
            f"Expected one channel of class ids in {path}. Got: mode {mode}, perhaps a picture "
            f"of colours. Use the file of label ids."
        )
    return ids.astype(np.int64)


def _synthia_ids(path: Path) -> NDArray[np.int64]:
    """Read the first of three 16-bit channels, which Pillow would reduce to 8 bits, all zero."""
    try:
        require_no_stream(path)
        pixels = sitk.GetArrayFromImage(sitk.ReadImage(str(path)))
    except (RuntimeError, OSError) as error:
        raise _unreadable_label(path, error) from None
    if pixels.dtype != np.uint16 or pixels.ndim != 3:
        raise InputError(
            f"Expected SYNTHIA's label of three 16-bit channels in {path}. "
            f"Got: {pixels.dtype} of shape {pixels.shape}. Use the file from GT/LABELS as it "
            f"unpacks; programs that convert it lose the ids."
        )
    ids: NDArray[np.int64] = pixels[..., 0].astype(np.int64)
    if not ids.any():
        raise InputError(
            f"Expected classes in {path}. Got: id 0 (void) alone, as in a file that was read and "
            f"saved as 8 bits. Unpack the original again."
        )
    return ids


def _unreadable_label(path: Path, error: Exception) -> InputError:
    reason = (str(error).splitlines() or [type(error).__name__])[-1]
    return InputError(f"Expected a readable label at {path}. Got: {reason}.")


# --- GTA5 (Richter et al., ECCV 2016; images of 1914x1052 and other sizes) -------------------


def _gta5(root: Path, _: str) -> list[Frame]:
    return [
        Frame(image.stem, image, root / "labels" / f"{image.stem}.png", "gta5")
        for image in images_in(root / "images")
    ]


# --- SYNTHIA-RAND-CITYSCAPES (Ros et al., CVPR 2016; 1280x760) -------------------------------


def _synthia(root: Path, _: str) -> list[Frame]:
    inner = root / "RAND_CITYSCAPES"
    root = inner if inner.is_dir() else root
    return [
        Frame(image.stem, image, root / "GT" / "LABELS" / f"{image.stem}.png", "synthia")
        for image in images_in(root / "RGB")
    ]


# --- Cityscapes (Cordts et al., CVPR 2016; 2048x1024) ----------------------------------------


def _cityscapes(root: Path, split: str) -> list[Frame]:
    frames = []
    for image in sorted((root / "leftImg8bit" / split).glob("*/[!.]*_leftImg8bit.png")):
        name, folder = image.name.removesuffix("_leftImg8bit.png"), image.parent.name
        labels = root / "gtFine" / split / folder
        label, encoding = labels / f"{name}_gtFine_labelIds.png", "cityscapes"
        generated = labels / f"{name}_gtFine_labelTrainIds.png"  # made by the dataset's own scripts
        if generated.is_file() and not label.is_file():
            label, encoding = generated, "train-ids"
        frames.append(Frame(name, image, label, encoding))
    return frames


# --- Cross-City (Chen et al., ICCV 2017): PATH is the folder of one city ---------------------


def _cross_city(root: Path, split: str) -> list[Frame]:
    folder = split.capitalize()
    return [
        Frame(
            image.stem,
            image,
            root / "Labels" / folder / f"{image.stem}_eval.png" if split == "test" else None,
            "cross-city" if split == "test" else "",
        )
        for image in images_in(root / "Images" / folder)
    ]


def _require_city(root: Path) -> None:
    if root.name not in CITIES or not root.is_dir():
        above = root.parent if root.parent.is_dir() else root
        there = [city for city in CITIES if above.is_dir() and (above / city).is_dir()]
        there += [f"{root.name}/{city}" for city in CITIES if (root / city).is_dir()]
        raise InputError(
            f"Expected the folder of a city, {', '.join(CITIES)}, as in cross-city:PATH/Rome#test. "
            f"Got: {root}. Cities found: {', '.join(there) or 'none'}."
        )


LAYOUTS: dict[str, Layout] = {
    "gta5": Layout(_gta5, ("all",), f"images/*{ANY_IMAGE}"),
    "synthia": Layout(_synthia, ("all",), f"RGB/*{ANY_IMAGE}"),
    "cityscapes": Layout(
        _cityscapes, ("train", "val", "test"), "leftImg8bit/SPLIT/CITY/*_leftImg8bit.png"
    ),
    "cross-city": Layout(_cross_city, ("train", "test"), f"Images/SPLIT/*{ANY_IMAGE}"),
}
