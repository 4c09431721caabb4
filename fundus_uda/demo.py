"""The demo: the default recipe between rendered photographs of two cameras."""

from pathlib import Path

import numpy as np
import pandas as pd
import torch
from PIL import Image

from fundus_uda.clinic.report.numbers import read_predictions, score_summary, scores
from fundus_uda.clinic.report.page import write_report
from fundus_uda.data.datasets import load_samples
from fundus_uda.data.samples import Sample, images_in
from fundus_uda.data.synthetic import write_camera
from fundus_uda.engine.model_path import kept_run
from fundus_uda.experiments.panel import Column, panel
from fundus_uda.files import require_empty, write_table
from fundus_uda.masks.classes import Mask
from fundus_uda.masks.dice import DICE
from fundus_uda.recipe.adapt import adapt, first_network
from fundus_uda.segmentation.comparison import compare
from fundus_uda.segmentation.figures import outlined

SIZE = 128
FEW_STEPS = (
    f"data.size={SIZE}",
    "network.atrous_rates=[2,3,5]",  # for a map of 8x8
    "steps=100",
    "snapshot_every=50",
)
"""Overrides that make the default recipe one of minutes."""


def run_demo(out: Path, device: torch.device) -> pd.DataFrame:
    """Render the photographs of two cameras, and adapt from camera a to camera b.

    Writes `data/`, `adapted/`, which is what `adapt` writes, `comparison.csv`, `panel.png` with
    four photographs side by side, and `report.html`. Camera b's masks are read for scores alone.

    Args:
        out: new or empty folder.
        device: where to train.

    Returns:
        The comparison of the networks before and after adaptation (see
        `segmentation.comparison.compare`), with the scores of the report: those of the masks that
        `predict` wrote, where a photograph without an outline counts as an empty mask.

    Raises:
        InputError: the folder is not empty.
    """
    require_empty(out)
    data, adapted = out / "data", out / "adapted"
    write_camera(data / "camera_a", "a", count=96, size=SIZE, first_seed=0)
    write_camera(data / "camera_b", "b", count=64, size=SIZE, first_seed=0)
    target = f"folder:{data / 'camera_b'}"
    adapt([target], adapted, device, source=f"folder:{data / 'camera_a'}", overrides=FEW_STEPS)
    first = first_network(adapted) or kept_run(adapted)
    sides = {first: adapted / "before", kept_run(adapted): adapted / "predictions"}
    reference = load_samples(target)
    table = _scored_as_predicted(sides, reference)
    write_table(out / "comparison.csv", table)
    _write_panel(out, sides)
    write_report(adapted / "predictions", adapted / "before", reference, out / "report.html")
    return table


def _scored_as_predicted(sides: dict[Path, Path], reference: list[Sample]) -> pd.DataFrame:
    """Compare the last checkpoints of runs by what `predict` wrote with each, by run."""
    rows = []
    for run, predicted in sides.items():
        row = compare([run]).set_index("checkpoint").loc[["last"]].reset_index()
        scored = score_summary(scores(read_predictions(predicted), reference))
        row[list(DICE)] = [scored[name]["mean"] for name in DICE]
        row["dice_mean_std"] = scored["dice_mean"]["std"]
        rows.append(row)
    return pd.concat(rows, ignore_index=True)


def _write_panel(out: Path, sides: dict[Path, Path]) -> None:
    camera = out / "data" / "camera_b"
    names = [path.name for path in images_in(camera / "images")[:4]]

    def mask(file: Path) -> Mask:
        # Without a found disc there is no mask, and nothing to outline.
        return np.asarray(Image.open(file)) if file.is_file() else np.zeros((SIZE, SIZE), np.uint8)

    photographs = [np.asarray(Image.open(camera / "images" / name)) for name in names]
    columns: list[Column] = [("target", photographs)]
    titles = ("before adaptation", "adapted")
    folders = {"ground truth": camera / "masks"} | {
        title: predicted / "masks" for title, predicted in zip(titles, sides.values(), strict=False)
    }
    for title, folder in folders.items():
        masks = [mask(folder / name) for name in names]
        columns.append((title, list(map(outlined, photographs, masks))))
    panel(columns, out / "panel.png")
