"""A picture of the predictions of several models, in titled columns."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from fundus_uda.engine.settings import CheckpointName
from fundus_uda.files import write_picture

Picture = NDArray[np.uint8]
"""RGB picture, (H, W, 3)."""

Column = tuple[str, Sequence[Picture]]
"""Title, and pictures from top to bottom."""

SIDE, HEADER = 192, 20


@dataclass(frozen=True)
class View:
    """Choice of what a picture of results shows."""

    rows: int = 4
    """Number of images, evenly spaced."""
    directions: Literal["all", "diagonal"] = "all"
    """Neighbours of the affinity maps (see `affinity.affinity_map`)."""
    checkpoint: CheckpointName = "last"
    """Checkpoint of the run folders."""


def panel(columns: Sequence[Column], file: Path, tile: tuple[int, int] = (SIDE, SIDE)) -> None:
    """Draw pictures side by side.

    Args:
        columns: columns with one picture per row each.
        file: PNG to write; its folder is created.
        tile: (width, height) to which each picture is resized.
    """
    width, height = tile
    rows = max(len(pictures) for _, pictures in columns)
    canvas = Image.new("RGB", (width * len(columns), HEADER + height * rows), "white")
    draw = ImageDraw.Draw(canvas)
    for column, (title, pictures) in enumerate(columns):
        draw.text((column * width + 6, 4), title, fill="black")
        for row, picture in enumerate(pictures):
            shown = Image.fromarray(picture).resize(tile, Image.Resampling.BICUBIC)
            canvas.paste(shown, (column * width, HEADER + row * height))
    file.parent.mkdir(parents=True, exist_ok=True)
    write_picture(file, canvas)


def model_columns(
    models: Sequence[Path],
    predicted: Sequence[Sequence[Picture]],
    maps: Sequence[Sequence[NDArray[np.float32]]],
) -> list[Column]:
    """Return two columns for each model: its predictions and its affinity maps.

    All maps share one scale, which their titles state; it begins at the lowest first percentile.

    Args:
        models: paths of the models; titles are the shortest endings that tell them apart.
        predicted: pictures of each model, one per row.
        maps: affinity maps (h, w) in [0, 1] of each model, one per row.
    """
    lowest = min(float(np.quantile(map_HW, 0.01)) for some in maps for map_HW in some)
    columns: list[Column] = []
    for title, pictures, some in zip(_titles(models), predicted, maps, strict=True):
        shown = [_grey((map_HW - lowest) / (1 - lowest + 1e-6)) for map_HW in some]
        columns += [(title, pictures), (f"affinity, {lowest:.3f} to 1", shown)]
    return columns


def _titles(models: Sequence[Path]) -> list[str]:
    parts = [model.absolute().parts for model in models]
    depth = 1
    while len({path[-depth:] for path in parts}) < len(set(parts)):
        depth += 1
    return ["/".join(path[-depth:]) for path in parts]


def _grey(values: NDArray[np.float32]) -> Picture:
    """Convert (H, W) in [0, 1] to (H, W, 3), from black to white."""
    grey = (values.clip(0, 1) * 255).astype(np.uint8)
    return np.repeat(grey[..., None], 3, axis=2)
