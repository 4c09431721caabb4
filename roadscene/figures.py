"""Pictures of results."""

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from fundus_uda.affinity import affinity_map
from fundus_uda.engine.batches import evenly_spaced
from fundus_uda.experiments.panel import Column, Picture, View, model_columns, panel
from roadscene.classes import CLASSES
from roadscene.data import load_frames, read_image, read_label
from roadscene.model import load_model
from roadscene.prediction import colours, most_probable

WIDTH = 256
"""Width of one image in the picture, in pixels."""


def draw_results(
    uri: str,
    models: list[Path],
    file: Path,
    device: torch.device,
    view: View = View(),  # noqa: B008
) -> None:
    """Draw target, ground truth if there is any, then prediction and affinity map of each model.

    The picture follows the paper's Figs. 1 and 3 and, with the diagonal neighbours alone, Fig. 4.
    Predictions and maps are those at the size of the network's target images.

    Args:
        uri: data URI, of which evenly spaced images are shown.
        models: run folders or checkpoints.
        file: PNG to write; its folder is created.
        device: device to predict on.
        view: choice of what is shown.

    Raises:
        InputError: see `load_frames`, `read_image`, `read_label` and `load_model`.
    """
    frames = evenly_spaced(load_frames(uri), view.rows)
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
        model, shown, affinities = load_model(path, device, which=view.checkpoint), [], []
        data = model.settings.data
        for image in images:
            logits = model.logits(image, data.target_size)
            shown.append(coloured(most_probable(logits, data.classes)))
            affinity = affinity_map(logits.softmax(dim=1), directions=view.directions)[0]
            affinities.append(affinity.cpu().numpy())
        predicted.append(shown)
        maps.append(affinities)
    panel([*columns, *model_columns(models, predicted, maps)], file, tile)
