"""The folder of a run: settings, environment, logs, checkpoints, scores, and whether it is done."""

import csv
import json
import math
import platform
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from fundus_uda.config.read import Settings, differences
from fundus_uda.errors import InputError
from fundus_uda.files import needing_room, read_json, require_empty, temporary_of, write_whole
from fundus_uda.output import note
from fundus_uda.unfinished import LEFT_BY_LOCK

if TYPE_CHECKING:
    import torch

LIBRARIES = ("torch", "monai", "numpy", "segmentation-models-pytorch", "timm", "fundus-uda")
WRITTEN_BEFORE_TRAINING = {
    *LEFT_BY_LOCK,
    temporary_of(Path("last.pt")).name,
    "label_match.csv",
    *(
        file.name
        for name in ("config.yaml", "environment.json", "weights.txt")
        for file in (Path(name), temporary_of(Path(name)))
    ),
}
"""Files that a run killed before its first checkpoint may leave."""
LOGS = ("metrics.csv", "snapshots.csv", "label_match.csv")
"""Tables that a run adds to, by step."""
CHANGES_DIGITS = ("device", "threads", "processes", "affinity", "torch")
"""Entries of `environment.json` on which the last digits of results depend."""


class RunFolder:
    """Paths and writers of one run.

    `config.yaml` has the resolved settings, `environment.json` versions and device, `metrics.csv`
    losses by step, `snapshots.csv` selection scores, `label_match.csv` the target's labels as the
    source shows them, `last.pt` the newest checkpoint,
    `selected.pt` the one with the best score, `evaluation/` the scores of both. An empty file
    `finished` is written last of all.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.last = path / "last.pt"
        self.selected = path / "selected.pt"

    @property
    def is_begun(self) -> bool:
        """Return whether there is a checkpoint to resume from."""
        return self.last.is_file()

    @property
    def is_finished(self) -> bool:
        """Return whether the run is complete, scoring included."""
        return (self.path / "finished").is_file()

    def finish(self) -> None:
        """Mark the run as finished."""
        (self.path / "finished").touch()

    def evaluation(self, checkpoint: str) -> Path:
        """Return the folder of the scores of a kept checkpoint, "last" or "selected"."""
        return self.path / "evaluation" / checkpoint

    def summaries(self) -> list[Path]:
        """List the summary files of the scored checkpoints, in alphabetical order."""
        return sorted((self.path / "evaluation").glob("*/summary.json"))

    def begin(self, settings: Settings, device: "torch.device", report: str = "") -> None:
        """Create the folder of a new run, or overwrite what a killed one left.

        Args:
            settings: resolved settings of the run.
            device: device on which it trains.
            report: report on the weight file that was loaded, for `weights.txt`; "" for none.

        Raises:
            InputError: the folder holds something else.
        """
        if self.path.exists() and not self._is_killed_before_training():
            raise InputError(
                f"Expected a new or empty folder for the run. Got: {self.path}, which holds "
                f"something already. Choose another --out."
            )
        self.path.mkdir(parents=True, exist_ok=True)
        self.write_settings(settings)
        for name in LOGS:
            (self.path / name).unlink(missing_ok=True)
        environment = json.dumps(_environment(device), indent=2)
        write_whole(self.path / "environment.json", f"{environment}\n")
        if report:
            write_whole(self.path / "weights.txt", f"{report}\n")

    def require_ready(self, continue_run: bool) -> None:
        """Check that a run can be written here, before anything is read.

        Args:
            continue_run: whether to continue the run that must be here, from its last checkpoint
                or, if it was killed before the first, from step 0. If False, the folder must be
                new or empty.

        Raises:
            InputError: the folder is occupied, or holds no run.
        """
        if not continue_run:
            require_empty(self.path)
            return
        if self.is_begun:
            return
        if not self.path.is_dir() or not self._is_killed_before_training():
            found = "another folder" if self.path.is_dir() else "nothing"
            raise InputError(
                f"Expected a checkpoint to resume at {self.last}. Got: {found}. "
                f"Start the run without --resume, in an empty folder."
            )

    def note_other_environment(self, device: "torch.device") -> None:
        """Print what differs here from where the run began and changes the last digits."""
        file = self.path / "environment.json"
        if not file.is_file():
            return
        theirs, ours = (
            {name: environment.get(name) for name in CHANGES_DIGITS}
            for environment in (read_json(file), _environment(device))
        )
        if lines := differences(ours, theirs):
            note(
                f"Where the run in {self.path} began was another environment, so that it is not "
                f"bit for bit what an unbroken one would be: {'; '.join(lines)}."
            )

    def write_settings(self, settings: Settings) -> None:
        """Write `config.yaml`, also when a run goes on, whose data may have moved."""
        text = yaml.safe_dump(settings.model_dump(mode="json"), sort_keys=False)
        write_whole(self.path / "config.yaml", text)

    def settings(self) -> dict[str, Any] | None:
        """Read the resolved settings in `config.yaml`; None if they are missing or incomplete."""
        file = self.path / "config.yaml"
        found = yaml.safe_load(file.read_text(encoding="utf-8")) if file.is_file() else None
        return found if isinstance(found, dict) else None

    def rewind(self, step: int) -> None:
        """Drop the rows that were logged after the checkpoint at `step`."""
        (self.path / "finished").unlink(missing_ok=True)
        for path in (self.path / name for name in LOGS if (self.path / name).is_file()):
            lines = path.read_text(encoding="utf-8").splitlines()
            kept = [row for row in lines[1:] if _step_of(row) <= step]
            write_whole(path, "".join(f"{line}\n" for line in [*lines[:1], *kept]))

    def log(self, name: str, row: dict[str, Any]) -> None:
        """Append a row to `NAME.csv`, with a header if it is the first.

        Raises:
            WriteError: there is no room for it.
        """
        path = self.path / f"{name}.csv"
        new = not path.is_file() or path.stat().st_size == 0
        with needing_room(path), path.open("a", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, row, lineterminator="\n")
            if new:
                writer.writeheader()
            writer.writerow(row)

    def _is_killed_before_training(self) -> bool:
        left = {path.name for path in self.path.iterdir()} if self.path.is_dir() else {""}
        return left <= WRITTEN_BEFORE_TRAINING


def _step_of(row: str) -> float:
    """Return the first cell; infinity for a row that was cut off when the machine stopped."""
    first, comma, _ = row.partition(",")
    return int(first) if comma and first.isdigit() else math.inf


def _environment(device: "torch.device") -> dict[str, Any]:
    import torch

    from fundus_uda.affinity import fused
    from fundus_uda.engine.device import configuration
    from fundus_uda.engine.distributed import processes

    return {
        "device": _device_name(device),
        "threads": torch.get_num_threads(),
        "processes": processes(),
        "affinity": fused.which() if device.type == "cpu" else "torch",
        **configuration(device),
        **_versions(),
    }


def _device_name(device: "torch.device") -> str:
    import torch

    return torch.cuda.get_device_name(device) if device.type == "cuda" else device.type


def _versions() -> dict[str, str]:
    versions = {"python": platform.python_version(), "platform": platform.platform()}
    for library in LIBRARIES:
        try:
            versions[library] = metadata.version(library)
        except metadata.PackageNotFoundError:
            versions[library] = "not installed"
    return versions
