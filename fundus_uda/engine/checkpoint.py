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
from fundus_uda.engine.errors import InputError, WorkError
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
        weights: dict[str, torch.Tensor] = self.state[_network(self.settings)]
        return weights


def save_checkpoint(
    path: Path, state: State, settings: RunSettings, data: dict[str, str], classes: int
) -> None:
    """Write to a temporary file beside `path`, flush it to the disk, then rename it.

    Whenever the machine stops, `path` holds a whole checkpoint: the old one or the new one.

    Raises:
        WorkError: it cannot be written, for example because the disk is full.
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
    try:
        with temporary.open("wb") as file:
            torch.save(contents, file)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except (OSError, RuntimeError) as error:  # of a full disk, torch makes a RuntimeError
        temporary.unlink(missing_ok=True)
        raise WorkError(
            f"Expected to write the checkpoint {path}. Got: {str(error).splitlines()[0]} (a full "
            f"disk?). Make room, then go on with --resume: what was there before is whole."
        ) from error


def load_checkpoint(path: Path) -> Checkpoint:
    """Read a checkpoint, on the CPU, without running any code that it may contain.

    Raises:
        InputError: no such file, not a checkpoint, damaged, or of another format.
    """
    try:
        contents = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise InputError(
            f"Expected a checkpoint at {path}. Got: no such file. Name a run folder or a .pt file."
        ) from None
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
            f"Got: another kind of file. Name last.pt or selected.pt of a run folder."
        )
    if contents["format"] != FORMAT:
        raise InputError(
            f"Expected checkpoint format {FORMAT} at {path}. Got: {contents['format']}. "
            f"Use the version of the program that wrote it."
        )
    if contents["fingerprint"] != fingerprint(contents["settings"]):
        raise InputError(
            f"Expected the settings in {path} to match their fingerprint. Got: changed ones. "
            f"Copy the file again, or train anew."
        )
    state, classes = contents["state"], contents["classes"]
    wanted = {"step", _network(contents["settings"])} if classes else {"step"}
    if not isinstance(state, dict) or not wanted <= state.keys():
        raise InputError(
            f"Expected the state of a run with {sorted(wanted)} in {path}. Got: "
            f"{sorted(state) if isinstance(state, dict) else type(state).__name__}. "
            f"Copy the file again, or train anew."
        )
    return Checkpoint(state, contents["settings"], contents["data"], classes)


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
    if missing := state.state_dict().keys() - checkpoint.state.keys():
        raise InputError(
            f"Expected the whole state of the run in {path}. Got: one without "
            f"{', '.join(sorted(missing))}. Copy the file again, or start a new run."
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


def _network(settings: dict[str, Any]) -> str:
    """Which part of the state is the network that a run is for."""
    return "teacher" if METHODS[settings["method"]].teacher == "mean" else "segmenter"
