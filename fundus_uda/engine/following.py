"""A run to look at while it trains: pictures and records made of its logs, off by default.

Everything is made anew of the tables that the run writes anyway (see `run_folder.RunFolder`), so
that it follows a run that was stopped and resumed, and no result depends on it.
"""

import csv
import importlib.util
import json
import math
import os
import shutil
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from fundus_uda.engine.run_folder import LOGS, RunFolder
from fundus_uda.engine.settings import FollowedBy
from fundus_uda.errors import InputError
from fundus_uda.files import read_json, replacing, write_picture, write_whole

Curves = dict[str, list[tuple[int, float]]]
"""Step and value by name, such as "metrics/segmentation"."""
PANELS = {
    "Losses": "metrics/",
    "Mean affinity on the target": "snapshots/mean_affinity",
    "Effective classes on the target": "snapshots/effective_classes",
    "Disc share": "label_match/*disc_share",
    "Vertical cup-to-disc ratio": "label_match/*vertical_cdr",
}
"""Panels of `progress.png`, and the names of their curves; * stands for any prefix."""
PACKAGES = {"tensorboard": "tensorboard", "mlflow": "mlflow"}
"""Packages of the extra `follow` that need to be installed."""
MOST_METRICS = 1000
"""Largest number of values that MLflow takes at once."""


def require_installed(ways: Sequence[FollowedBy]) -> None:
    """Check, before a run begins, that what it is to be followed by is installed.

    Raises:
        InputError: a package is missing.
    """
    for way in ways:
        package = PACKAGES.get(way)
        if package is not None and importlib.util.find_spec(package) is None:
            raise InputError(
                f"Expected the package {package}, for follow={way}. Got: not installed. Run: "
                f"pip install 'fundus-uda[follow]'"
            )


def follow(folder: RunFolder, ways: Sequence[FollowedBy]) -> None:
    """Write what a run is followed by, of the rows that it has logged so far.

    Args:
        folder: folder of the run.
        ways: "progress" for `progress.png`, curves in one picture; "panels", which the run itself
            writes (see `write_panel`); "tensorboard" for events in `tensorboard/`, with the panels,
            if there are any; "mlflow" for a run in `mlruns` beside the folder, MLflow's local
            store.
    """
    writers: dict[FollowedBy, Callable[[RunFolder, Curves], None]] = {
        "progress": _draw,
        "tensorboard": _write_events,
        "mlflow": _write_mlflow,
    }
    curves = curves_of(folder.path) if ways else {}
    for way in ways:
        if way in writers:
            writers[way](folder, curves)


def write_panel(folder: RunFolder, step: int, picture: Any) -> None:
    """Write the picture (H, W, 3) uint8 of a snapshot as `panels/step_000050.png`."""
    from PIL import Image  # the core does without it otherwise

    (folder.path / "panels").mkdir(exist_ok=True)
    write_picture(folder.path / "panels" / f"step_{step:06d}.png", Image.fromarray(picture))


def curves_of(run: Path) -> Curves:
    """Read the numbers in the logs of a run; what is no finite number is left out."""
    curves: Curves = {}
    for log in LOGS:
        if not (run / log).is_file():
            continue
        with (run / log).open(encoding="utf-8", newline="") as file:
            for row in csv.DictReader(file):
                step = int(row.pop("step"))
                for name, text in row.items():
                    if (value := _number(text)) is not None:
                        key = f"{log.removesuffix('.csv')}/{name}"
                        curves.setdefault(key, []).append((step, value))
    return curves


def _number(text: str | None) -> float | None:
    try:
        value = float(text or "")
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def _draw(folder: RunFolder, curves: Curves) -> None:
    """Draw `progress.png`, a panel for each kind of curve that there is."""
    from matplotlib.figure import Figure  # imports Pillow, which the core does without

    panels = {
        title: drawn
        for title, name in PANELS.items()
        if (drawn := {key: points for key, points in curves.items() if _is_named(key, name)})
    }
    figure = Figure(figsize=(8, 2.6 * max(1, len(panels))), layout="constrained")
    for place, (title, drawn) in enumerate(panels.items(), start=1):
        axes = figure.add_subplot(len(panels), 1, place)
        for key, points in drawn.items():
            axes.plot(*zip(*points, strict=True), label=key.partition("/")[2], linewidth=1)
        axes.set_title(title, fontsize="medium")
        axes.legend(fontsize="x-small", ncols=2)
        axes.grid(alpha=0.3)
    if panels:
        axes.set_xlabel("step")
    with replacing(folder.path / "progress.png") as temporary:
        figure.savefig(temporary, dpi=100)


def _is_named(key: str, name: str) -> bool:
    prefix, star, suffix = name.partition("*")
    return key.startswith(prefix) and (not star or key.endswith(suffix))


def _write_events(folder: RunFolder, curves: Curves) -> None:
    """Write the curves as events of TensorBoard, in place of those so far."""
    import numpy as np
    from PIL import Image
    from torch.utils.tensorboard import SummaryWriter

    shutil.rmtree(folder.path / "tensorboard", ignore_errors=True)
    with SummaryWriter(str(folder.path / "tensorboard")) as writer:
        for name, points in curves.items():
            for step, value in points:
                writer.add_scalar(name, value, step)
        for file in sorted((folder.path / "panels").glob("step_*.png")):
            with Image.open(file) as picture:
                step = int(file.stem.removeprefix("step_"))
                writer.add_image("panels", np.asarray(picture), step, dataformats="HWC")


def _write_mlflow(folder: RunFolder, curves: Curves) -> None:
    """Write the curves, and the settings, as a run in MLflow's local store.

    `mlflow.json` keeps its id, by which the next one replaces it.
    """
    from mlflow.entities import Metric, Param
    from mlflow.exceptions import MlflowException
    from mlflow.tracking import MlflowClient

    # MLflow keeps its store of plain files as it is, and asks those who want it to say so.
    os.environ.setdefault("MLFLOW_ALLOW_FILE_STORE", "true")
    store = folder.path.resolve().parent / "mlruns"
    store.mkdir(exist_ok=True)
    client = MlflowClient(tracking_uri=store.as_uri())
    named = folder.path / "mlflow.json"
    if named.is_file():
        with suppress(MlflowException):  # a folder that has moved, away from its store
            client.delete_run(str(read_json(named).get("run")))
    experiment = client.get_experiment_by_name("fundus-uda")
    id_ = experiment.experiment_id if experiment else client.create_experiment("fundus-uda")
    run = client.create_run(id_, run_name=folder.path.name).info.run_id
    write_whole(named, json.dumps({"run": run}) + "\n")
    params = [Param(name, value) for name, value in _flat(folder.settings() or {}).items()]
    client.log_batch(run, params=params)
    metrics = [
        Metric(name, value, 0, step) for name, points in curves.items() for step, value in points
    ]
    for first in range(0, len(metrics), MOST_METRICS):
        client.log_batch(run, metrics=metrics[first : first + MOST_METRICS])
    client.set_terminated(run)


def _flat(settings: dict[str, Any], prefix: str = "") -> dict[str, str]:
    """Name nested settings as overrides do."""
    flat: dict[str, str] = {}
    for key, value in settings.items():
        if isinstance(value, dict):
            flat |= _flat(value, f"{prefix}{key}.")
        else:
            flat[f"{prefix}{key}"] = str(value)
    return flat
