"""Images in; class indices, label ids and colour pictures out, at the images' own size."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn

from fundus_uda.engine.errors import InputError
from fundus_uda.engine.runlog import require_empty
from roadscene.classes import CLASSES, class_table, palette
from roadscene.data import Frame, images_in, read_image, read_label
from roadscene.images import network_input, require_same_shape
from roadscene.model import logits_at, normalisation
from roadscene.settings import RoadSettings


@dataclass(frozen=True)
class Prediction:
    """Of one frame, at the size of its label or, without one, of its image."""

    frame: Frame
    predicted: NDArray[np.uint8]
    """(H, W) indices of the 19 classes, whichever of them the network knows."""
    label: NDArray[np.uint8] | None
    """(H, W) indices of the 19 classes, or `IGNORE`."""


def predictions(
    network: nn.Module, settings: RoadSettings, frames: list[Frame], device: torch.device
) -> Iterator[Prediction]:
    """The network's reading of each frame, one at a time; consumes no random numbers.

    Args:
        network: of `load_model` or in training.
        settings: its settings.
        frames: labelled or not.
        device: of the network.

    Raises:
        InputError: an unreadable image or label, or a label of another size.
    """
    for frame in frames:
        photograph, label = read_image(frame.image), None
        size = (photograph.height, photograph.width)
        if frame.label is not None:
            label = read_label(frame, len(CLASSES))
            require_same_shape(photograph, label, frame)
            size = (label.shape[0], label.shape[1])
        logits = class_logits(network, settings, photograph, size, device)
        yield Prediction(frame, most_probable(logits, settings.data.classes), label)


@torch.no_grad()
def class_logits(
    network: nn.Module,
    settings: RoadSettings,
    image: Image.Image,
    size: tuple[int, int],
    device: torch.device,
) -> Tensor:
    """What the network says of an image; consumes no random numbers.

    Args:
        network: of `load_model` or in training.
        settings: its settings.
        image: RGB, of any size.
        size: (height, width) to upsample to.
        device: of the network.

    Returns:
        (1, C, *size) float32 on the device.
    """
    data = settings.data
    pixels = network_input(image, data.target_size, normalisation(settings), data.test_resize)
    return logits_at(network.eval(), pixels[None].to(device), size)


def most_probable(logits: Tensor, classes: int) -> NDArray[np.uint8]:
    """Logits (1, C, H, W) of 19, 16 or 13 classes to indices (H, W) of the 19."""
    index_of_19 = np.array([CLASSES.index(c) for c in class_table(classes)], np.uint8)
    indices: NDArray[np.uint8] = index_of_19[logits[0].argmax(dim=0).cpu().numpy()]
    return indices


def predict(
    network: nn.Module, settings: RoadSettings, paths: list[Path], out: Path, device: torch.device
) -> int:
    """Write `label_ids/<stem>.png` (Cityscapes ids) and `colour/<stem>.png` of each image.

    Args:
        network: of `load_model`.
        settings: its settings.
        paths: image files, and folders whose images are taken.
        out: a folder, made if need be.
        device: of the network.

    Returns:
        The number of images.

    Raises:
        InputError: nothing to read, two images of one name, or an unreadable one.
    """
    require_empty(out)
    frames = _collect(paths)
    for prediction in predictions(network, settings, frames, device):
        name = f"{prediction.frame.id}.png"
        write_label_ids(prediction.predicted, out / "label_ids" / name)
        write_colours(prediction.predicted, out / "colour" / name)
    return len(frames)


def write_label_ids(indices: NDArray[np.uint8], file: Path) -> None:
    """Save indices of the 19 classes as Cityscapes ids, one 8-bit channel."""
    ids = np.array([c.cityscapes for c in CLASSES], np.uint8)
    file.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(ids[indices]).save(file)


def write_colours(indices: NDArray[np.uint8], file: Path) -> None:
    """Save indices of the 19 classes as a picture in Cityscapes' colours."""
    file.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(colours(indices)).save(file)


def colours(indices: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Indices (H, W) of the 19 classes in Cityscapes' colours, (H, W, 3); `IGNORE` is black."""
    picture = Image.fromarray(indices)
    picture.putpalette(palette(len(CLASSES)))
    return np.asarray(picture.convert("RGB"))


def _collect(paths: list[Path]) -> list[Frame]:
    frames: dict[str, Frame] = {}
    for path in paths:
        files = images_in(path) if path.is_dir() else [path]
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
