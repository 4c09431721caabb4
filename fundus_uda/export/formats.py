"""Export of a network: the formats, and the writing of one, whole or not at all."""

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal

import torch

from fundus_uda.engine.settings import CheckpointName
from fundus_uda.errors import InputError
from fundus_uda.export import hugging_face, monai_bundle, onnx_file, safetensors_file
from fundus_uda.export.provenance import Provenance, provenance_of
from fundus_uda.files import require_new
from fundus_uda.segmentation.exported import OnnxNetwork
from fundus_uda.segmentation.model import Model, load_model
from fundus_uda.unfinished import require_replaceable, rewritten

FormatName = Literal["safetensors", "safetensors-half", "onnx", "huggingface", "monai-bundle"]


@dataclass(frozen=True)
class Format:
    """One row of `FORMATS`."""

    write: Callable[[Model, Provenance, Path], str]
    """Function that writes a network to a new file or folder, and returns a line for the user."""
    suffix: str = ""
    """Suffix of the file; "" for a folder."""


FORMATS: dict[FormatName, Format] = {
    "safetensors": Format(safetensors_file.write, ".safetensors"),
    "safetensors-half": Format(partial(safetensors_file.write, half=True), ".safetensors"),
    "onnx": Format(onnx_file.write, ".onnx"),
    "huggingface": Format(hugging_face.write),
    "monai-bundle": Format(monai_bundle.write),
}


def export(
    path: Path,
    format_name: FormatName,
    out: Path,
    which: CheckpointName = "last",
    overwrite: bool = False,
) -> str:
    """Write the network of a MODEL in another form.

    Args:
        path: run folder, folder that `adapt` wrote, or a file (see `load_model`).
        format_name: key of `FORMATS`.
        out: file or folder to write.
        which: checkpoint of a run folder.
        overwrite: whether to replace a file at `out`, or what this wrote into such a folder (see
            `unfinished.require_replaceable`).

    Returns:
        A line for the user.

    Raises:
        InputError: no such model, a damaged or foreign one, or `out` is occupied.
        RunError: what was written does not compute what the network computes.
    """
    row = FORMATS[format_name]
    _require_free(out, row, overwrite)
    model = load_model(path, torch.device("cpu"), which)
    if isinstance(model.network, OnnxNetwork):
        raise InputError(
            f"Expected a model with weights for torch. Got: {path}, in which they are compiled. "
            f"Export the run that it came from."
        )
    about = provenance_of(model, path, which)
    out.parent.mkdir(parents=True, exist_ok=True)
    unfinished = out.with_name(f".{out.name}.unfinished{row.suffix}")
    _remove(unfinished)
    try:
        told = row.write(model, about, unfinished)
        if row.suffix:
            unfinished.replace(out)
        else:
            with rewritten(out, "export"):
                for path in unfinished.iterdir():
                    path.rename(out / path.name)
    finally:
        _remove(unfinished)
    return told


def _require_free(out: Path, row: Format, overwrite: bool) -> None:
    if row.suffix and out.suffix != row.suffix:
        raise InputError(f"Expected an --out that ends in {row.suffix}. Got: {out}.")
    if row.suffix:
        require_new(out, overwrite)
    else:
        require_replaceable(out, "export", overwrite)


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
