"""Checkpoints: written atomically, loaded strictly and safely."""

import hashlib
import json
import os
import platform
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from fundus_uda.engine.config import RunSettings, differences
from fundus_uda.engine.errors import InputError
from fundus_uda.engine.methods import METHODS
from fundus_uda.engine.state import State

FORMAT = 2
NOT_BINDING = {"workers"}
"""Settings that may change on resume, since no result depends on them."""


@dataclass
class Checkpoint:
    """What a file holds: `state` is of `State.state_dict`, the rest is plain types."""

    state: dict[str, Any]
    settings: dict[str, Any]
    data: dict[str, str]
    """Fingerprint of the list of images of each domain."""
    classes: int
    """C of the segmenter; 0 of a run that trains none."""

    @property
    def step(self) -> int:
        """Number of updates done."""
        return int(self.state["step"])

    @property
    def label_shares(self) -> torch.Tensor:
        """See `engine.state.TrainState`."""
        shares: torch.Tensor = self.state["label_shares"]
        return shares

    @property
    def weights(self) -> dict[str, torch.Tensor]:
        """Of the network that the run is for, as `engine.state.trained_network`."""
        mean_teacher = METHODS[self.settings["method"]].teacher == "mean"
        weights: dict[str, torch.Tensor] = self.state["teacher" if mean_teacher else "segmenter"]
        return weights


def save_checkpoint(
    path: Path, state: State, settings: RunSettings, data: dict[str, str], classes: int
) -> None:
    """Write to a temporary file beside `path`, flush it to the disk, then rename it.

    Whenever the machine stops, `path` holds a whole checkpoint: the old one or the new one.
    """
    contents = {
        "format": FORMAT,
        "state": state.state_dict(),
        "settings": settings.model_dump(mode="json"),
        "fingerprint": fingerprint(settings.model_dump(mode="json")),
        "data": data,
        "classes": classes,
        "versions": {"torch": str(torch.__version__), "python": platform.python_version()},
    }
    temporary = path.with_suffix(".tmp")
    with temporary.open("wb") as file:
        torch.save(contents, file)
        file.flush()
        os.fsync(file.fileno())
    os.replace(temporary, path)


def load_checkpoint(path: Path) -> Checkpoint:
    """Read a checkpoint, on the CPU, without running any code that it may contain.

    Raises:
        InputError: no such file, not a checkpoint, damaged, or of another format.
    """
    try:
        contents = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise InputError(f"Expected a checkpoint at {path}. Got: no such file.") from None
    except Exception as error:  # damaged bytes may raise anything;
        # torch's own text may advise to load the file unsafely; it is not repeated
        raise InputError(
            f"Expected a checkpoint of this program at {path}. Got: another kind of file, or a "
            f"damaged one ({type(error).__name__}). Copy it again, or train anew."
        ) from None
    keys = {"format", "state", "settings", "fingerprint", "data", "classes"}
    if not isinstance(contents, dict) or not keys <= contents.keys():
        raise InputError(
            f"Expected a checkpoint of this program at {path}, with {sorted(keys)}. "
            f"Got: another kind of file."
        )
    if contents["format"] != FORMAT:
        raise InputError(
            f"Expected checkpoint format {FORMAT} at {path}. Got: {contents['format']}. "
            f"Use the version of the program that wrote it."
        )
    if contents["fingerprint"] != fingerprint(contents["settings"]):
        raise InputError(
            f"Expected the settings in {path} to match their fingerprint. They do not."
        )
    return Checkpoint(
        contents["state"], contents["settings"], contents["data"], contents["classes"]
    )


def resume(path: Path, state: State, settings: RunSettings, data: dict[str, str]) -> None:
    """Fill `state` from the checkpoint of an interrupted run of the same settings and data.

    Raises:
        InputError: other settings or other data (both values are named), or see `load_checkpoint`.
    """
    checkpoint = load_checkpoint(path)
    lines = changed_settings(settings, checkpoint.settings)
    lines += differences(data, checkpoint.data, "fingerprint of ")
    if lines:
        raise InputError(
            f"Expected the settings and data with which {path} was trained. Got:\n  "
            + "\n  ".join(lines)
            + "\nResume with those, or start a new run in another folder."
        )
    state.load_state_dict(checkpoint.state)


def changed_settings(settings: RunSettings, theirs: dict[str, Any]) -> list[str]:
    """Lines `key: ours here, theirs there` for all in which a result may differ from another's."""
    return differences(_binding(settings.model_dump(mode="json")), _binding(theirs))


def fingerprint(contents: Any) -> str:
    """SHA-256 of plain types, independent of the order of keys."""
    return hashlib.sha256(json.dumps(contents, sort_keys=True).encode()).hexdigest()


def _binding(settings: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in settings.items() if key not in NOT_BINDING}
