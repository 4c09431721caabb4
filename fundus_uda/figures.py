"""Pictures of results."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from fundus_uda.clinic.pictures import overlay

Picture = NDArray[np.uint8]

SIDE, HEADER = 192, 20


def panel(
    photographs: list[Picture], masks_of_column: dict[str, list[Picture]], file: Path
) -> None:
    """Target, then the outlines of each column's masks, as in Fig. 6 of the paper.

    Args:
        photographs: (H, W, 3) uint8, one per row.
        masks_of_column: title to masks (H, W) of 0, 1, 2, one per row.
        file: PNG to write, made with its folder.
    """
    titles = ["target", *masks_of_column]
    canvas = Image.new("RGB", (SIDE * len(titles), HEADER + SIDE * len(photographs)), "white")
    draw = ImageDraw.Draw(canvas)
    for column, title in enumerate(titles):
        draw.text((column * SIDE + 6, 4), title, fill="black")
        for row, photograph in enumerate(photographs):
            tile = Image.fromarray(photograph).resize((SIDE, SIDE), Image.Resampling.BICUBIC)
            if title != "target":
                mask = Image.fromarray(masks_of_column[title][row])
                large = np.asarray(mask.resize((SIDE, SIDE), Image.Resampling.NEAREST))
                tile = Image.fromarray(overlay(np.asarray(tile), large))
            canvas.paste(tile, (column * SIDE, HEADER + row * SIDE))
    file.parent.mkdir(parents=True, exist_ok=True)
    canvas.save(file)
