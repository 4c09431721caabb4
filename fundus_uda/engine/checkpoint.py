"""Checkpoints: written atomically, loaded strictly and safely."""

import hashlib
import os
import platform
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from fundus_uda.config.read import differences
from fundus_uda.engine import checkpoint_faults as faults
from fundus_uda.engine.methods import METHODS
from fundus_uda.engine.model_path import require_file
from fundus_uda.engine.run_folder import RunFolder
from fundus_uda.engine.settings import RunSettings
from fundus_uda.engine.state import State
from fundus_uda.errors import InputError, WriteError
from fundus_uda.files import link_or_copy, temporary_of
from fundus_uda.output import detail, note
from fundus_uda.torch_file import UnreadableError, read_torch_file

FORMAT = 3
NOT_BINDING = {"workers", "follow"}
"""Settings that may change on resume, since no result depends on them."""
ADDRESSES = {
    "data.source": "source",
    "data.target": "target",
    "data.test": "test",
    "data.outlined": "outlined",
    "source": "source",
    "target": "target",
    "model": "model",
    "start": "start",
    "network.weights": "weights",
}
"""Settings that say where something is, and the names of the fingerprints of what is there. Where
the fingerprint is the same, the data may have moved."""


class DamagedCheckpointError(InputError):
    """A checkpoint whose bytes are not those that were written."""


@dataclass
class Checkpoint:
    """Contents of a file: `state` comes from `State.state_dict`, the rest are plain types."""

    state: dict[str, Any]
    settings: dict[str, Any]
    data: dict[str, str]
    """Fingerprint of what is at each address: lists of images, files of weights."""
    classes: int
    """Number of classes C of the segmenter; 0 for a run that trains none."""

    @property
    def step(self) -> int:
        """Return the number of updates done."""
        return int(self.state["step"])

    @property
    def label_shares(self) -> torch.Tensor:
        """Return the class shares of `engine.state.TrainState`."""
        shares: torch.Tensor = self.state["label_shares"]
        return shares

    @property
    def weights(self) -> dict[str, torch.Tensor]:
        """Return the weights of the network that `engine.state.trained_network` returns."""
        weights: dict[str, torch.Tensor] = self.state[_network(self.settings)]
        return weights


def state_of_network(
    weights: dict[str, torch.Tensor], step: int, label_shares: torch.Tensor
) -> dict[str, Any]:
    """Return the state of a checkpoint that holds a network alone."""
    networks = {"segmenter": weights, "teacher": weights}  # whichever the method trains
    return {"step": step, "label_shares": label_shares, **networks}


def save_checkpoint(
    path: Path,
    state: State,
    settings: RunSettings,
    data: dict[str, str],
    classes: int,
    keeps_previous: bool = False,
) -> None:
    """Write the checkpoint of a run (see `write_checkpoint`)."""
    plain = settings.model_dump(mode="json")
    write_checkpoint(path, Checkpoint(state.state_dict(), plain, data, classes), keeps_previous)


def write_checkpoint(path: Path, checkpoint: Checkpoint, keeps_previous: bool = False) -> None:
    """Write to a temporary file beside `path`, flush it to the disk, then rename it.

    Whenever the machine stops, `path` holds a whole checkpoint: the old one or the new one. With
    `keeps_previous`, the old one stays as `previous_checkpoint(path)`.

    Raises:
        WriteError: it cannot be written, for example because the disk is full.
    """
    contents = {
        "format": FORMAT,
        **vars(checkpoint),
        "versions": {"torch": str(torch.__version__), "python": platform.python_version()},
    }
    contents["checksum"] = checksum(contents)
    temporary = temporary_of(path)
    try:
        with temporary.open("wb") as file:
            torch.save(contents, file)
            file.flush()
            os.fsync(file.fileno())
        if keeps_previous and path.is_file():
            previous_checkpoint(path).unlink(missing_ok=True)
            link_or_copy(path, previous_checkpoint(path))  # a second name: `path` is never absent
        os.replace(temporary, path)
    except (OSError, RuntimeError) as error:  # torch raises the latter on a full disk
        temporary.unlink(missing_ok=True)
        raise WriteError(
            f"Expected to write the checkpoint {path}. Got: {str(error).splitlines()[0]} (a full "
            f"disk?). Make room, then go on with --resume: what was there before is whole."
        ) from error
    detail(f"Saved {path}, of step {checkpoint.step}.")


def previous_checkpoint(path: Path) -> Path:
    """Return where the checkpoint is kept that `path` held before its newest."""
    return path.with_suffix(f".previous{path.suffix}")


def checksum(contents: Any) -> str:
    """Compute the SHA-256 of nested contents of a checkpoint: names, plain values, tensors.

    Returns:
        Hexadecimal digits, the same on every machine of one byte order.
    """
    digest = hashlib.sha256()

    def add(value: Any) -> None:
        if isinstance(value, dict):
            for key in sorted(value, key=str):
                digest.update(f"{key!r}:".encode())
                add(value[key])
        elif isinstance(value, list | tuple):
            digest.update(f"[{len(value)}]".encode())
            for item in value:
                add(item)
        elif isinstance(value, torch.Tensor):
            digest.update(f"{value.dtype}{tuple(value.shape)}".encode())
            flat = value.detach().cpu().contiguous().reshape(-1)
            digest.update(flat.view(torch.uint8).numpy().data)
        else:
            digest.update(f"{value!r};".encode())

    add(contents)
    return digest.hexdigest()


def load_checkpoint(path: Path) -> Checkpoint:
    """Read a checkpoint on the CPU without running code that it may contain.

    Raises:
        InputError: no such file, not a checkpoint, or of another format.
        DamagedCheckpointError: bytes that are not those that were written.
    """
    require_file(path)
    try:
        contents = read_torch_file(path)
    except UnreadableError as error:
        raise DamagedCheckpointError(
            f"Expected a checkpoint of this program at {path}. Got: {error}. Copy it again, or "
            f"train anew."
        ) from None
    keys = {"format", "state", "settings", "checksum", "data", "classes"}
    if not isinstance(contents, dict) or not keys <= contents.keys():
        raise InputError(
            f"Expected a checkpoint of this program at {path}, with {sorted(keys)}. "
            f"Got: another kind of file. Name last.pt or selected.pt of a run folder."
        )
    if type(contents["format"]) is not int or contents["format"] != FORMAT:
        raise InputError(
            f"Expected checkpoint format {FORMAT} at {path}. Got: {contents['format']}. "
            f"Use the version of the program that wrote it."
        )
    if contents.pop("checksum") != checksum(contents):
        raise DamagedCheckpointError(
            f"Expected the contents of {path} to match their checksum. Got: changed ones. "
            f"Copy the file again, or train anew."
        )
    state, classes = contents["state"], contents["classes"]
    _require_none(faults.fault_beside_the_state(contents), path)
    wanted = {"step", _network(contents["settings"])} if classes else {"step"}
    if not isinstance(state, dict) or not wanted <= state.keys():
        raise InputError(
            f"Expected the state of a run with {sorted(wanted)} in {path}. Got: "
            f"{sorted(map(str, state)) if isinstance(state, dict) else type(state).__name__}. "
            f"Copy the file again, or train anew."
        )
    weights = state[_network(contents["settings"])] if classes else {}
    _require_none(faults.fault_of_state(state, weights, classes), path)
    return Checkpoint(state, contents["settings"], contents["data"], classes)


def _require_none(fault: str, path: Path) -> None:
    if fault:
        raise InputError(
            f"Expected the parts of a run's checkpoint in {path}. Got: {fault}. Copy the file "
            f"again, or train anew."
        )


def resume(path: Path, state: State, settings: RunSettings, data: dict[str, str]) -> None:
    """Fill `state` from the checkpoint of an interrupted run of the same settings and data.

    Where the newest checkpoint is damaged and the one before it is whole, that one is taken, and a
    line on the terminal says so.

    Raises:
        InputError: other settings or other data (both values are named), or see `load_checkpoint`.
    """
    try:
        checkpoint = load_checkpoint(path)
    except DamagedCheckpointError as error:
        previous = previous_checkpoint(path)
        if not previous.is_file():
            raise
        checkpoint = load_checkpoint(previous)
        note(f"{error} Going on from the one before it, of step {checkpoint.step}: {previous}.")
    theirs = {name: checkpoint.data[name] for name in data if name in checkpoint.data}
    ours = {name: data[name] for name in theirs}
    same = {name for name in ours if ours[name] == theirs[name]}
    lines = _changed_settings(settings, checkpoint.settings, same)
    lines += differences(ours, theirs, "fingerprint of ")
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
    try:
        faults.load_fitting(state, checkpoint.state)
    except Exception as error:  # torch raises many kinds for parts of another shape or type
        raise InputError(
            f"Expected the state of a run with these settings in {path}. Got: one that does not "
            f"fit ({type(error).__name__}). Copy the file again, or start a new run."
        ) from None


def require_same_settings(settings: RunSettings, folder: RunFolder) -> None:
    """Check that a run that is already in a folder, if any, has these settings.

    Addresses may be others: `resume` compares what is there.

    Raises:
        InputError: other settings; each is named with both values.
    """
    theirs = folder.settings()
    anywhere = set(ADDRESSES.values())
    if theirs is not None and (lines := _changed_settings(settings, theirs, anywhere)):
        raise InputError(
            f"Expected the run in {folder.path} to have these settings. Got:\n  "
            + "\n  ".join(lines)
            + "\nChoose another --out, or remove that run."
        )


def has_same_addresses(settings: RunSettings, folder: RunFolder) -> bool:
    """Check whether the run in a folder has these settings, the addresses of its data too."""
    theirs = folder.settings()
    return theirs is not None and not _changed_settings(settings, theirs, set())


def _changed_settings(settings: RunSettings, theirs: dict[str, Any], same: set[str]) -> list[str]:
    """List `key: ours here, theirs there` for every differing setting that affects results.

    Args:
        settings: our settings.
        theirs: settings of the other run.
        same: names of fingerprints that agree, whose addresses may differ.
    """
    lines = differences(_binding(settings.model_dump(mode="json")), _binding(theirs))
    moved = {f"{key}: " for key, name in ADDRESSES.items() if name in same}
    return [line for line in lines if not line.startswith(tuple(moved))]


def require_same_network(start: str, ours: dict[str, Any], theirs: dict[str, Any]) -> None:
    """Check that a run has the network of the one that it starts from.

    Args:
        start: name of the run to start from.
        ours: nested settings on which tensors and images depend.
        theirs: those settings of the run to start from.

    Raises:
        InputError: other settings; each is named with both values.
    """
    if lines := differences(ours, theirs):
        raise InputError(
            f"Expected the network of {start}. Got:\n  "
            + "\n  ".join(lines)
            + "\nSet what is there, or start from another run."
        )


def _binding(settings: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in settings.items() if key not in NOT_BINDING}


def _network(settings: dict[str, Any]) -> str:
    """Return the key in the state of the network that a run trains."""
    return "teacher" if METHODS[settings["method"]].teacher == "mean" else "segmenter"
