"""Pictures of outlined photographs."""

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from fundus_uda.data.datasets import load_samples
from fundus_uda.data.inspection import cropped_if_whole, require_crops
from fundus_uda.data.photograph_files import read_sample
from fundus_uda.engine.batches import evenly_spaced
from fundus_uda.experiments.panel import SIDE, Column, View, model_columns, panel
from fundus_uda.masks.classes import Mask, Photograph
from fundus_uda.masks.outlines import overlay
from fundus_uda.masks.postprocess import remove_small_components
from fundus_uda.segmentation.model import load_model
from fundus_uda.segmentation.prediction import outline


def outlined(photograph: Photograph, mask: Mask) -> Photograph:
    """Draw the outlines of a mask (H, W) into a photograph (H, W, 3), at the size of a tile."""
    tile = Image.fromarray(photograph).resize((SIDE, SIDE), Image.Resampling.BICUBIC)
    return overlay(np.asarray(tile), mask)


def draw_results(
    uri: str,
    models: list[Path],
    file: Path,
    device: torch.device,
    view: View = View(),  # noqa: B008
) -> None:
    """Draw target, ground truth if there is one, then outlines and affinity map of each model.

    The picture is laid out as the paper's Figs. 1, 3 and 6 and, with only the diagonal neighbours,
    as Fig. 4. The outlines are those of `predict` for a crop.

    Args:
        uri: `KIND:PATH[#SPLIT]`, of which evenly spaced photographs are shown; whole ones are
            cropped around the disc by their masks.
        models: run folders or checkpoints.
        file: PNG to write; its folder is created.
        device: where to predict.
        view: choice of what is shown.

    Raises:
        InputError: whole photographs without masks; see also `load_samples`, `read_sample` and
            `load_model`.
    """
    samples = evenly_spaced(load_samples(uri), view.rows)
    has_masks = all(sample.masks for sample in samples)
    samples = cropped_if_whole(samples, uri) if has_masks else require_crops(samples, uri)
    read = [read_sample(sample) for sample in samples]
    photographs = [item["image"].permute(1, 2, 0).numpy() for item in read]
    columns: list[Column] = [("target", photographs)]
    if has_masks:
        masks = [item["label"][0].numpy() for item in read]
        columns.append(("ground truth", list(map(outlined, photographs, masks))))
    outlines: list[list[Photograph]] = []
    maps: list[list[NDArray[np.float32]]] = []
    for path in models:
        model = load_model(path, device, which=view.checkpoint)
        seen = [outline(model, photograph, view.directions) for photograph in photographs]
        masks = [remove_small_components(prediction.mask) for prediction in seen]
        outlines.append(list(map(outlined, photographs, masks)))
        maps.append([prediction.affinity for prediction in seen])
    panel([*columns, *model_columns(models, outlines, maps)], file)
