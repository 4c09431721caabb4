"""The command `fundus-uda export`."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from .options import Checkpoint, Model


def command(
    model: Model,
    format_name: Annotated[
        Literal["safetensors", "safetensors-half", "onnx", "huggingface", "monai-bundle"],
        typer.Option("--format", help="Form of the network."),
    ],
    out: Path = typer.Option(
        ..., help="File (.safetensors, .onnx) or folder (huggingface, monai-bundle) to write."
    ),
    checkpoint: Checkpoint = "last",
    overwrite: bool = typer.Option(
        False,
        "--overwrite",
        help="Replace a file at --out, or what this command wrote into a folder, if nothing there "
        "was added or changed since.",
    ),
) -> None:
    """Write the network of a MODEL for another program, with a card that says what it is.

    What is written names no folder, user or machine: of the data, it tells the kind and the number
    of photographs. Files of safetensors and ONNX are a MODEL for every command.
    """
    from fundus_uda.export.formats import export

    told = export(model, format_name, out, checkpoint, overwrite)
    typer.echo(f"Wrote {out}. {told}")
