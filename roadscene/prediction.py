"""Prediction: images to class indices, label ids and colour pictures, at the images' own size."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from fundus_uda.engine.checkpoint import checksum
from fundus_uda.engine.fingerprint import fingerprint, fingerprint_file
from fundus_uda.errors import InputError
from fundus_uda.files import write_picture, write_table
from fundus_uda.output import note_passed_over, progress
from fundus_uda.unfinished import Unfinished
from roadscene.classes import CLASSES, class_table, palette
from roadscene.data import Frame, images_in
from roadscene.images import read_frame
from roadscene.model import Model


@dataclass(frozen=True)
class Prediction:
    """Prediction of one frame, at the size of its label or, without one, of its image."""

    frame: Frame
    predicted: NDArray[np.uint8]
    """Indices (H, W) of the 19 classes, even if the network has fewer."""
    label: NDArray[np.uint8] | None
    """Indices (H, W) of the 19 classes, or `IGNORE`; None without a label."""


def predictions(model: Model, frames: list[Frame]) -> Iterator[Prediction]:
    """Predict frames one at a time, without drawing random numbers.

    Args:
        model: trained or in training.
        frames: labelled or unlabelled frames.

    Raises:
        InputError: an unreadable image or label, or a label of another size.
    """
    for frame in progress(frames, "images", len(frames)):
        yield predict_frame(model, frame)


def predict_frame(model: Model, frame: Frame) -> Prediction:
    """Predict one frame, at the size of its label or, without one, of its image.

    Raises:
        InputError: an unreadable image or label, or a label of another size.
    """
    image, label = read_frame(frame, len(CLASSES))
    size = (image.height, image.width) if label is None else (label.shape[0], label.shape[1])
    logits = model.logits(image, size)
    return Prediction(frame, most_probable(logits, model.settings.data.classes), label)


def most_probable(logits: Tensor, classes: int) -> NDArray[np.uint8]:
    """Convert logits (1, C, H, W) of 19, 16 or 13 classes to indices (H, W) of the 19 classes."""
    index_of_19 = np.array([CLASSES.index(c) for c in class_table(classes)], np.uint8)
    indices: NDArray[np.uint8] = index_of_19[logits[0].argmax(dim=0).cpu().numpy()]
    return indices


def predict(model: Model, paths: list[Path], out: Path, overwrite: bool = False) -> pd.DataFrame:
    """Write `label_ids/<stem>.png` (Cityscapes ids) and `colour/<stem>.png` of each image.

    An image that cannot be read gets a row with the reason; all others are predicted.

    Args:
        model: trained model.
        paths: image files, and folders of images.
        out: new or empty folder, created if needed, or one in which the same was stopped, which
            goes on; it also gets the table as `predictions.csv`.
        overwrite: whether `out` may hold earlier predictions, which are replaced (see
            `unfinished.require_replaceable`).

    Returns:
        A row per image: image, status ("ok" or "unreadable") and reason.

    Raises:
        InputError: nothing to read, or two images of one name.
    """
    unfinished = Unfinished(out, "predict", overwrite)
    unfinished.require_room()
    frames = _collect(paths)
    listed = [(frame.id, fingerprint_file(frame.image)) for frame in frames]
    weights = checksum(model.network.state_dict())
    of = fingerprint([listed, model.settings.model_dump(mode="json"), weights])
    with unfinished.begun(of) as rows:
        left = frames[len(rows) :]
        for frame in progress(left, "images", len(left)):
            row = {"image": frame.id, "status": "ok", "reason": ""}
            try:
                predicted = predict_frame(model, frame).predicted
            except InputError as error:
                row |= {"status": "unreadable", "reason": str(error)}
            else:
                write_label_ids(predicted, out / "label_ids" / f"{frame.id}.png")
                write_colours(predicted, out / "colour" / f"{frame.id}.png")
            unfinished.add(row)
            rows.append(row)
        table = pd.DataFrame(rows)
        write_table(out / "predictions.csv", table)
    return table


def write_label_ids(indices: NDArray[np.uint8], file: Path) -> None:
    """Save indices of the 19 classes as Cityscapes ids, one 8-bit channel."""
    ids = np.array([c.cityscapes for c in CLASSES], np.uint8)
    file.parent.mkdir(parents=True, exist_ok=True)
    write_picture(file, Image.fromarray(ids[indices]))


def write_colours(indices: NDArray[np.uint8], file: Path) -> None:
    """Save indices of the 19 classes as a picture in Cityscapes' colours."""
    file.parent.mkdir(parents=True, exist_ok=True)
    write_picture(file, Image.fromarray(colours(indices)))


def colours(indices: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Convert indices (H, W) of the 19 classes to Cityscapes' colours (H, W, 3), `IGNORE` black."""
    picture = Image.fromarray(indices)
    picture.putpalette(palette(len(CLASSES)))
    return np.asarray(picture.convert("RGB"))


def _collect(paths: list[Path]) -> list[Frame]:
    frames: dict[str, Frame] = {}
    for path in paths:
        files = images_in(path) if path.is_dir() else [path]
        if path.is_dir():
            note_passed_over(sorted({*path.iterdir()} - {*files}))
        for file in files:
            if not file.is_file():
                raise InputError(f"Expected an image or a folder of images. Got: {file}.")
            if file.stem in frames:
                raise InputError(
                    f"Expected images of different names, since results are named after them. "
                    f"Got: {frames[file.stem].image} and {file}."
                )
            frames[file.stem] = Frame(file.stem, file)
    if not frames:
        raise InputError(f"Expected images in {', '.join(map(str, paths))}. Got: none.")
    return list(frames.values())
