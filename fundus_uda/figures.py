"""Pictures of outlined photographs."""

from pathlib import Path
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from fundus_uda.anatomy import without_specks
from fundus_uda.clinic.pictures import overlay
from fundus_uda.data.datasets import load_samples
from fundus_uda.data.masks import read_mask
from fundus_uda.data.transforms import read_photograph
from fundus_uda.model import load_model
from fundus_uda.panel import SIDE, Column, Picture, evenly_spaced, model_columns, panel
from fundus_uda.prediction import outline


def outlined(photograph: Picture, mask: NDArray[np.uint8]) -> Picture:
    """A photograph (H, W, 3) with the outlines of a mask (H, W) of 0, 1, 2, at tile size."""
    tile = Image.fromarray(photograph).resize((SIDE, SIDE), Image.Resampling.BICUBIC)
    large = Image.fromarray(mask).resize((SIDE, SIDE), Image.Resampling.NEAREST)
    return overlay(np.asarray(tile), np.asarray(large))


def draw_results(
    address: str,
    models: list[Path],
    file: Path,
    device: torch.device,
    rows: int = 4,
    directions: Literal["all", "diagonal"] = "all",
) -> None:
    """Target, ground truth where there is one, then outlines and affinity map of each model.

    As the paper's Figs. 1, 3 and 6, and with the diagonal neighbours alone Fig. 4. The outlines
    are those that `predict` gives of a crop.

    Args:
        address: `KIND:PATH[#SPLIT]`, of which evenly spaced photographs are shown.
        models: run folders or checkpoints.
        file: PNG to write, made with its folder.
        device: where to predict.
        rows: how many photographs.
        directions: of `affinity.affinity_map`.

    Raises:
        InputError: see `load_samples`, `read_mask` and `load_model`.
    """
    samples = evenly_spaced(load_samples(address), rows)
    photographs = [read_photograph(s.image, s.stereo).permute(1, 2, 0).numpy() for s in samples]
    columns: list[Column] = [("target", photographs)]
    if all(sample.masks for sample in samples):
        masks = [read_mask(sample)[0] for sample in samples]
        columns.append(("ground truth", list(map(outlined, photographs, masks))))
    outlines: list[list[Picture]] = []
    maps: list[list[NDArray[np.float32]]] = []
    for path in models:
        model = load_model(path, device)
        seen = [
            outline(model.segmenter, model.settings, photograph, device, directions)
            for photograph in photographs
        ]
        masks = [without_specks(prediction.mask) for prediction in seen]
        outlines.append(list(map(outlined, photographs, masks)))
        maps.append([prediction.affinity for prediction in seen])
    panel([*columns, *model_columns(models, outlines, maps)], file)
