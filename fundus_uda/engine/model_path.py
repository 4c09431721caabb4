"""What a MODEL names: a run folder, a folder that stands for one, or a file of a network."""

import json
from pathlib import Path

from fundus_uda.config.data_uri import has_kind
from fundus_uda.engine.run_folder import RunFolder
from fundus_uda.engine.settings import CheckpointName
from fundus_uda.errors import InputError
from fundus_uda.files import write_whole

MODEL_FILE = "model.json"
"""File by which a folder of several runs names the one whose network it stands for."""
ADAPTATION_FILE = "adaptation.json"
"""File that an adaptation begins with; it is finished when its folder has a `MODEL_FILE`."""
EXPORTED = (".safetensors", ".onnx")
"""Suffixes of the files by which a network leaves its run, each that of the format of its name."""


def name_kept_run(folder: Path, stage: str, run: Path) -> None:
    """Make a folder stand for the network of a run, wherever a MODEL is asked for.

    Args:
        folder: folder that gets the file `model.json`.
        stage: name of the stage that trained the network.
        run: run folder or checkpoint; inside `folder`, it may move with it.
    """
    inside = run.is_relative_to(folder)
    path = run.relative_to(folder).as_posix() if inside else str(run.expanduser().absolute())
    text = json.dumps({"stage": stage, "path": path}, indent=2)
    write_whole(folder / MODEL_FILE, f"{text}\n")


def kept_run(path: Path) -> Path:
    """Return the run that a folder stands for (see `name_kept_run`), or the path itself.

    Raises:
        InputError: a `model.json` that is damaged or leads back, or an unfinished adaptation.
    """
    seen: set[Path] = set()
    while (file := path / MODEL_FILE).is_file():
        seen.add(path.resolve())
        try:
            run = path / json.loads(file.read_text(encoding="utf-8"))["path"]
        except (ValueError, KeyError, TypeError) as error:
            raise InputError(
                f"Expected the path of a run in {file}. Got: {type(error).__name__}. Name a run "
                f"folder, or go on with `adapt --resume`, which writes that file anew."
            ) from None
        if run.is_dir() and run.resolve() in (*seen, *path.resolve().parents):
            raise InputError(
                f"Expected a run below {path} or elsewhere in {file}. Got: {run}, which leads back "
                f"here. Name a run folder."
            )
        path = run
    if (path / ADAPTATION_FILE).is_file():
        raise InputError(
            f"Expected a finished adaptation in {path}, with {MODEL_FILE}. Got: one that was "
            f"stopped. Go on with the `adapt` command that began it, and --resume."
        )
    return path


def checkpoint_file(path: Path, which: CheckpointName = "last") -> Path:
    """Find the checkpoint that a MODEL names: one of a run folder, or the file itself.

    Args:
        path: run folder, folder that `adapt` wrote, or file.
        which: checkpoint of a run folder: its last, or the one selected by mean affinity.

    Raises:
        InputError: a folder without that checkpoint, or a file that is not the selected one.
    """
    path = kept_run(path)
    if not path.is_dir():
        named = path.name == RunFolder(path.parent).selected.name
        if which == "selected" and path.is_file() and not named:
            raise InputError(
                f"Expected a run folder, of which the selected checkpoint is taken. Got: the file "
                f"{path}. Name its folder, or leave out the choice of a checkpoint."
            )
        return path
    folder = RunFolder(path)
    if not folder.is_begun:
        raise InputError(
            f"Expected a run folder with last.pt, or a folder that `adapt` wrote, at {path}. "
            f"Got: neither. Has its training started?"
        )
    if which == "selected" and not folder.selected.is_file():
        raise InputError(
            f"Expected a run folder with selected.pt at {path}. Got: none, since its run has no "
            f"target, or no snapshot could be selected. Take its last checkpoint."
        )
    return folder.selected if which == "selected" else folder.last


def require_file(file: Path) -> None:
    """Raise an InputError if there is no file of a checkpoint, or of an exported network."""
    if file.is_file():
        return
    if file.suffix in EXPORTED:
        raise InputError(
            f"Expected an exported network at {file}. Got: no such file. Write one with "
            f"`fundus-uda export MODEL --format {file.suffix[1:]} --out FILE`, or name a run."
        )
    raise InputError(
        f"Expected a checkpoint at {file}. Got: no such file. Train that run first, or name "
        f"another run folder or file of a network."
    )


def require_model(model: Path, rest: list[Path], which: CheckpointName) -> None:
    """Check a command's arguments before anything slow is loaded.

    Args:
        model: its first argument.
        rest: its others.
        which: checkpoint of a run folder.

    Raises:
        InputError: there is no such model, or the second argument is one and the first is none.
    """
    if rest and not _is_model(model) and _is_model(rest[0]):
        raise InputError(
            f"Expected MODEL first, then what it is for. Got: {model} first, and the model "
            f"{rest[0]} after it. Swap them."
        )
    require_file(checkpoint_file(model, which))


def names_a_model(arguments: list[Path]) -> bool:
    """Check whether the first of a command's arguments is a MODEL, and not a photograph already.

    A single argument is a photograph, or a folder of some, unless it is known as a MODEL. The first
    of several is a MODEL unless it is KIND:PATH, a file that is none, or a folder of others.
    Where the second is one, the first stands in its place (see `require_model`).
    """
    first = arguments[0]
    if any(_is_model(path) for path in arguments[:2]):
        return True
    if len(arguments) == 1 or first.is_file() or has_kind(str(first)):
        return False
    return not first.is_dir() or RunFolder(first).settings() is not None or not any(first.iterdir())


def _is_model(path: Path) -> bool:
    names = ("last.pt", MODEL_FILE, ADAPTATION_FILE)
    files = (".pt", ".pth", *EXPORTED)
    return path.suffix in files or any((path / name).is_file() for name in names)
