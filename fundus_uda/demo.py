"""The demo: rendered photographs of two cameras, source-only training against ASA."""

from pathlib import Path

import numpy as np
import pandas as pd
import torch
from PIL import Image

from fundus_uda.clinic.predict import predict
from fundus_uda.clinic.report.numbers import read_predictions, score_summary, scores
from fundus_uda.clinic.report.page import write_report
from fundus_uda.config.read import override
from fundus_uda.data.datasets import load_samples
from fundus_uda.data.samples import Sample, images_in
from fundus_uda.data.synthetic import write_camera
from fundus_uda.engine.methods import METHODS
from fundus_uda.engine.settings import MethodName
from fundus_uda.experiments.panel import Column, panel
from fundus_uda.masks.classes import Mask
from fundus_uda.masks.dice import DICE
from fundus_uda.output import require_empty
from fundus_uda.segmentation.comparison import compare
from fundus_uda.segmentation.figures import outlined
from fundus_uda.segmentation.model import load_model
from fundus_uda.segmentation.settings import read_settings
from fundus_uda.segmentation.training import train

SIZE = 128
DEMO_METHODS: tuple[MethodName, ...] = ("source", "asa")


def run_demo(out: Path, device: torch.device) -> pd.DataFrame:
    """Render both cameras, train source-only and ASA, and score both on camera b.

    Writes `data/`, a run folder per method, `comparison.csv`, the predictions of both on the
    test photographs under `predictions/`, `panel.png` with four of them side by side, and
    `report.html`.

    Args:
        out: new or empty folder.
        device: where to train.

    Returns:
        The comparison of the two (see `segmentation.comparison.compare`), with the scores of the
        report: those of the masks that `predict` wrote, where a photograph without an outline
        counts as an empty mask.

    Raises:
        InputError: the folder is not empty.
    """
    require_empty(out)
    data = out / "data"
    write_camera(data / "camera_a", "a", count=96, size=SIZE, first_seed=0)
    write_camera(data / "camera_b", "b", count=64, size=SIZE, first_seed=0)
    test = data / "camera_b_test"
    write_camera(test, "b", count=32, size=SIZE, first_seed=1000)
    folders = {"source": data / "camera_a", "target": data / "camera_b", "test": test}
    uris = [override(f"data.{name}", f"folder:{folder}") for name, folder in folders.items()]
    for method in DEMO_METHODS:
        train(read_settings("cpu/demo", [f"method={method}", *uris]), out / method, device)
        model = load_model(out / method, device)
        before = out / "predictions" / "source" if method != "source" else None
        predict(model, [test / "images"], out / "predictions" / method, before=before)
    reference = load_samples(f"folder:{test}")
    table = _scored_as_predicted(compare([out / method for method in DEMO_METHODS]), out, reference)
    table.to_csv(out / "comparison.csv", index=False)
    _write_panel(out, test)
    after, before = (out / "predictions" / method for method in ("asa", "source"))
    write_report(after, before, reference, out / "report.html")
    return table


def _scored_as_predicted(table: pd.DataFrame, out: Path, reference: list[Sample]) -> pd.DataFrame:
    """Return the rows of the last checkpoints, with the scores of what `predict` wrote."""
    table = table[table["checkpoint"] == "last"].set_index("method")
    for method in DEMO_METHODS:
        scored = score_summary(scores(read_predictions(out / "predictions" / method), reference))
        title = METHODS[method].title
        table.loc[title, list(DICE)] = [scored[name]["mean"] for name in DICE]
        table.loc[title, "dice_mean_std"] = scored["dice_mean"]["std"]
    return table.reset_index()[["run", "method", *table.columns.drop("run")]]


def _write_panel(out: Path, test: Path) -> None:
    names = [path.name for path in images_in(test / "images")[:4]]

    def mask(file: Path) -> Mask:
        # Without a found disc there is no mask, and nothing to outline.
        return np.asarray(Image.open(file)) if file.is_file() else np.zeros((SIZE, SIZE), np.uint8)

    photographs = [np.asarray(Image.open(test / "images" / name)) for name in names]
    columns: list[Column] = [("target", photographs)]
    folders = {"ground truth": test / "masks"}
    folders |= {METHODS[m].title: out / "predictions" / m / "masks" for m in DEMO_METHODS}
    for title, folder in folders.items():
        masks = [mask(folder / name) for name in names]
        columns.append((title, list(map(outlined, photographs, masks))))
    panel(columns, out / "panel.png")
