"""The folder of a run: what was asked, where it ran, how it went."""

import csv
import json
import math
import os
import platform
from importlib import metadata
from pathlib import Path
from typing import Any

import torch
import yaml
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from fundus_uda.engine.config import Settings
from fundus_uda.engine.errors import InputError

LIBRARIES = ("torch", "monai", "numpy", "segmentation-models-pytorch", "timm", "fundus-uda")


class RunFolder:
    """Paths and writers of one run.

    `config.yaml` the resolved settings, `environment.json` versions and device, `metrics.csv`
    losses by step, `snapshots.csv` selection scores, `last.pt` the newest checkpoint and
    `selected.pt` the one with the best score.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.last = path / "last.pt"
        self.selected = path / "selected.pt"

    def begin(self, settings: Settings, device: torch.device) -> None:
        """Create the folder of a new run.

        Raises:
            InputError: it holds something already.
        """
        require_empty(self.path)
        self.path.mkdir(parents=True, exist_ok=True)
        text = yaml.safe_dump(settings.model_dump(mode="json"), sort_keys=False)
        (self.path / "config.yaml").write_text(text, encoding="utf-8")
        environment = {"device": _device_name(device), **_versions()}
        (self.path / "environment.json").write_text(json.dumps(environment, indent=2) + "\n")

    def require_checkpoint(self) -> None:
        """Raise an InputError unless there is something to resume."""
        if not self.last.is_file():
            raise InputError(
                f"Expected a checkpoint to resume at {self.last}. Got: none. "
                f"Start the run without --resume, in an empty folder."
            )

    def rewind(self, step: int) -> None:
        """Drop the rows that were logged after the checkpoint at `step`."""
        for name in ("metrics.csv", "snapshots.csv"):
            path = self.path / name
            lines = path.read_text().splitlines() if path.is_file() else []
            kept = [row for row in lines[1:] if _step_of(row) <= step]
            temporary = path.with_suffix(".tmp")
            temporary.write_text("".join(f"{line}\n" for line in [*lines[:1], *kept]))
            os.replace(temporary, path)

    def log(self, name: str, row: dict[str, Any]) -> None:
        """Append a row to `NAME.csv`, with a header if it is the first."""
        path = self.path / f"{name}.csv"
        new = not path.is_file() or path.stat().st_size == 0
        with path.open("a", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, row)
            if new:
                writer.writeheader()
            writer.writerow(row)

    def logged(self, name: str) -> list[float]:
        """A column of `metrics.csv`."""
        with (self.path / "metrics.csv").open(newline="", encoding="utf-8") as file:
            return [float(row[name]) for row in csv.DictReader(file)]


def _step_of(row: str) -> float:
    """The first cell; infinity for a row that was cut off as the machine stopped."""
    first, comma, _ = row.partition(",")
    return int(first) if comma and first.isdigit() else math.inf


def require_empty(folder: Path) -> None:
    """Raise an InputError unless the folder is new or empty, so that nothing is overwritten."""
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise InputError(
            f"Expected a new or empty output folder. Got: {folder}, which holds something "
            f"already. Choose another --out, or continue what was stopped with --resume, where the "
            f"command has it."
        )


def progress_bar() -> Progress:
    """Step count, losses and time left, on the terminal."""
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(bar_width=20),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[losses]}"),
    )


def _device_name(device: torch.device) -> str:
    return torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu"


def _versions() -> dict[str, str]:
    versions = {"python": platform.python_version(), "platform": platform.platform()}
    for library in LIBRARIES:
        try:
            versions[library] = metadata.version(library)
        except metadata.PackageNotFoundError:
            versions[library] = "not installed"
    return versions
