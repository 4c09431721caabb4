"""Fingerprints of what a run reads: images, labels and weight files, by their bytes."""

import hashlib
import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from fundus_uda.engine.model_path import checkpoint_file
from fundus_uda.engine.settings import CheckpointName
from fundus_uda.paths import user_path


def fingerprint(contents: Any) -> str:
    """Compute the SHA-256 of plain types, independent of the order of keys."""
    return hashlib.sha256(json.dumps(contents, sort_keys=True).encode()).hexdigest()


def fingerprint_file(path: Path) -> str:
    """Compute the SHA-256 of the bytes of a file; "" if there is none that may be read."""
    try:
        return digest(path) if path.is_file() else ""
    except OSError:
        return ""


def fingerprint_files(files: Iterable[tuple[str, Path, Sequence[Path]]]) -> str:
    """Compute the SHA-256 of a list of images: names, and contents of images and labels.

    Args:
        files: name, image file and label files of each image.

    Returns:
        Hexadecimal digits; "" for no image at all.
    """
    listed = [(name, *(digest(file) for file in (image, *labels))) for name, image, labels in files]
    return fingerprint(listed) if listed else ""


def fingerprint_first_network(
    start: str | None, which: CheckpointName, weights: str
) -> dict[str, str]:
    """Compute the SHA-256 of the file from which a run takes its first network, if it is a file.

    Args:
        start: run folder or checkpoint that the run starts from, if any.
        which: checkpoint of that run folder.
        weights: file of pretrained weights, or the name of some.

    Returns:
        Hexadecimal digits, named `start` or `weights`; empty for weights that have a name.
    """
    if start is not None:
        return {"start": digest(checkpoint_file(user_path(start), which))}
    file = user_path(weights)
    return {"weights": digest(file)} if file.is_file() else {}


def digest(path: Path) -> str:
    """Compute the SHA-256 of a file, in hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
