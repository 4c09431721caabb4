"""The demo: rendered streets in two styles, source-only against ASC and ASA."""

from pathlib import Path

import pandas as pd
import torch

from fundus_uda.config.read import override
from fundus_uda.files import require_empty, write_table
from roadscene.comparison import compare
from roadscene.model import load_model
from roadscene.prediction import predict
from roadscene.settings import read_settings
from roadscene.synthetic import write_split
from roadscene.training import train

SIZE = (128, 256)
METHODS = ("source", "asc", "asa")


def run_demo(out: Path, device: torch.device) -> pd.DataFrame:
    """Render both styles, train source-only, ASC and ASA, and score each on dusk.

    Writes `data/`, a run folder per method, `comparison.csv`, and the predictions of each method
    on the test streets under `predictions/`.

    Args:
        out: new or empty folder.
        device: device to train on.

    Returns:
        The comparison (see `comparison.compare`).

    Raises:
        InputError: the folder holds something already.
    """
    require_empty(out)
    data = out / "data"
    write_split(data / "source", "train", "day", count=96, size=SIZE, first_seed=0)
    write_split(data / "target", "train", "dusk", count=64, size=SIZE, first_seed=0)
    write_split(data / "target", "val", "dusk", count=32, size=SIZE, first_seed=1000)
    for method in METHODS:
        overrides = [
            f"method={method}",
            override("data.source", f"cityscapes:{data / 'source'}#train"),
            override("data.target", f"cityscapes:{data / 'target'}#train"),
            override("data.test", f"cityscapes:{data / 'target'}#val"),
        ]
        train(read_settings("cpu/demo", overrides), out / method, device)
        model = load_model(out / method, device)
        streets = data / "target" / "leftImg8bit" / "val" / "dusk"
        predict(model, [streets], out / "predictions" / method)
    table = compare([out / method for method in METHODS])
    write_table(out / "comparison.csv", table)
    return table
