"""Pictures of results."""

from pathlib import Path
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from fundus_uda.affinity import affinity_map
from fundus_uda.clinic.pictures import overlay
from fundus_uda.data.datasets import load_samples
from fundus_uda.data.masks import read_mask
from fundus_uda.data.transforms import read_photograph
from fundus_uda.model import load_model
from fundus_uda.prediction import class_probabilities, most_probable

Picture = NDArray[np.uint8]

SIDE, HEADER = 192, 20


def panel(columns: dict[str, list[Picture]], file: Path) -> None:
    """Pictures side by side.

    Args:
        columns: title to pictures (H, W, 3) uint8, one per row.
        file: PNG to write, made with its folder.
    """
    rows = max(map(len, columns.values()))
    canvas = Image.new("RGB", (SIDE * len(columns), HEADER + SIDE * rows), "white")
    draw = ImageDraw.Draw(canvas)
    for column, (title, pictures) in enumerate(columns.items()):
        draw.text((column * SIDE + 6, 4), title, fill="black")
        for row, picture in enumerate(pictures):
            tile = Image.fromarray(picture).resize((SIDE, SIDE), Image.Resampling.BICUBIC)
            canvas.paste(tile, (column * SIDE, HEADER + row * SIDE))
    file.parent.mkdir(parents=True, exist_ok=True)
    canvas.save(file)


def outlined(photograph: Picture, mask: Picture) -> Picture:
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

    As the paper's Figs. 1, 3 and 6, and with the diagonal neighbours alone Fig. 4. All maps of a
    picture share one scale, which their titles state.

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
    samples = load_samples(address)
    places = np.linspace(0, len(samples) - 1, min(rows, len(samples))).round().astype(int)
    samples = [samples[place] for place in places]
    photographs = [read_photograph(s.image, s.stereo).permute(1, 2, 0).numpy() for s in samples]
    columns = {"target": photographs}
    if all(sample.masks for sample in samples):
        masks = [read_mask(sample)[0] for sample in samples]
        columns["ground truth"] = [outlined(*pair) for pair in zip(photographs, masks, strict=True)]
    outlines: dict[str, list[Picture]] = {}
    maps: dict[str, list[NDArray[np.float32]]] = {}
    for path in models:
        model, name = load_model(path, device), path.name
        outlines[name], maps[name] = [], []
        for photograph in photographs:
            small = Image.fromarray(photograph)
            small.thumbnail((model.settings.data.size, model.settings.data.size))
            prob = class_probabilities(
                model.segmenter, model.settings, np.asarray(small)[None], device
            )
            outlines[name].append(outlined(photograph, most_probable(prob[0])))
            maps[name].append(affinity_map(prob, directions=directions)[0].cpu().numpy())
    lowest = min(float(np.quantile(map_HW, 0.01)) for some in maps.values() for map_HW in some)
    for name in outlines:
        columns[name] = outlines[name]
        columns[f"affinity, {lowest:.3f} to 1: {name}"] = [
            _grey((map_HW - lowest) / (1 - lowest + 1e-6)) for map_HW in maps[name]
        ]
    panel(columns, file)


def _grey(values: NDArray[np.float32]) -> Picture:
    """(H, W) in [0, 1] to (H, W, 3), black to white."""
    grey = (values.clip(0, 1) * 255).astype(np.uint8)
    return np.repeat(grey[..., None], 3, axis=2)
