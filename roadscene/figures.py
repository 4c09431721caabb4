"""Pictures of results."""

from pathlib import Path
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from fundus_uda.affinity import affinity_map
from fundus_uda.panel import Column, Picture, evenly_spaced, model_columns, panel
from roadscene.classes import CLASSES
from roadscene.data import load_frames, read_image, read_label
from roadscene.model import load_model
from roadscene.prediction import class_logits, colours, most_probable

WIDTH = 256
"""Of one image in the picture, in pixels."""


def draw_results(
    address: str,
    models: list[Path],
    file: Path,
    device: torch.device,
    rows: int = 4,
    directions: Literal["all", "diagonal"] = "all",
) -> None:
    """Target, ground truth where there is one, then prediction and affinity map of each model.

    As the paper's Figs. 1 and 3, and with the diagonal neighbours alone Fig. 4; predictions and
    maps are those at the size of the network's target images.

    Args:
        address: `KIND:PATH[#SPLIT]`, of which evenly spaced images are shown.
        models: run folders or checkpoints.
        file: PNG to write, made with its folder.
        device: where to predict.
        rows: how many images.
        directions: of `affinity.affinity_map`.

    Raises:
        InputError: see `load_frames`, `read_image`, `read_label` and `load_model`.
    """
    frames = evenly_spaced(load_frames(address), rows)
    images = [read_image(frame.image) for frame in frames]
    tile = WIDTH, round(WIDTH * images[0].height / images[0].width)

    def coloured(indices: NDArray[np.uint8]) -> Picture:
        small = Image.fromarray(indices).resize(tile, Image.Resampling.NEAREST)
        return colours(np.asarray(small))

    columns: list[Column] = [("target", [np.asarray(image) for image in images])]
    if all(frame.label and frame.label.is_file() for frame in frames):
        labels = [read_label(frame, len(CLASSES)) for frame in frames]
        columns.append(("ground truth", [coloured(label) for label in labels]))
    predicted: list[list[Picture]] = []
    maps: list[list[NDArray[np.float32]]] = []
    for path in models:
        model, shown, affinities = load_model(path, device), [], []
        data = model.settings.data
        for image in images:
            logits = class_logits(model.network, model.settings, image, data.target_size, device)
            shown.append(coloured(most_probable(logits, data.classes)))
            affinity = affinity_map(logits.softmax(dim=1), directions=directions)[0]
            affinities.append(affinity.cpu().numpy())
        predicted.append(shown)
        maps.append(affinities)
    panel([*columns, *model_columns(models, predicted, maps)], file, tile)
