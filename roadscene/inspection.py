"""Inspection of a dataset, its contents and its problems, before any training."""

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from fundus_uda.errors import InputError
from fundus_uda.output import group_alike
from roadscene.classes import CLASSES, IGNORE
from roadscene.data import load_frames, read_image, read_label
from roadscene.images import require_same_shape


@dataclass
class Inspection:
    """Findings on all frames at one data URI."""

    images: int
    labelled: int = 0
    """Number of images with a readable label of the right size."""
    sizes: Counter[str] = field(default_factory=Counter)
    """Number of images by "WIDTHxHEIGHT"."""
    class_shares: dict[str, float] = field(default_factory=dict)
    """Share of the labelled pixels for each of the 19 classes that occurs."""
    ignored_share: float | None = None
    """Share of all pixels of the labels that have no class; None without a label."""
    problems: list[str] = field(default_factory=list)


def inspect(uri: str) -> Inspection:
    """Read every image and label at a data URI once.

    Raises:
        InputError: there is nothing to read. Problems of single files are listed instead.
    """
    frames = load_frames(uri)
    found = Inspection(len(frames))
    pixels = np.zeros(256, np.int64)
    problems: list[tuple[str, tuple[Path, ...]]] = []
    for frame in frames:
        try:
            image = read_image(frame.image)
            found.sizes[f"{image.width}x{image.height}"] += 1
            if frame.label is None:
                continue
            if not frame.label.is_file():
                raise InputError(f"Expected a label of {frame.image} at {frame.label}. Got: none.")
            label = read_label(frame, len(CLASSES))
            require_same_shape(image, label, frame)
        except InputError as error:
            files = (frame.image, frame.label) if frame.label else (frame.image,)
            problems.append((str(error), files))
        else:
            found.labelled += 1
            pixels += np.bincount(label.ravel(), minlength=256)
    found.problems = group_alike(problems)
    classes = pixels[: len(CLASSES)]
    if classes.any():
        shares = dict(zip((c.name for c in CLASSES), classes / classes.sum(), strict=True))
        found.class_shares = {name: float(share) for name, share in shares.items() if share}
    elif found.labelled:
        found.problems.append(
            f"Expected pixels of a class in the labels at {uri}. Got: none in {found.labelled}, as "
            f"in a test split whose labels are not public. Take another split, or use this one as "
            f"a target only."
        )
    if found.labelled:
        found.ignored_share = float(pixels[IGNORE] / pixels.sum())
    return found
