"""Options and arguments that several commands share."""

from pathlib import Path
from typing import Annotated, Literal

import typer

ANNOTATION = "Annotation to use if a dataset has several: average, expert1, majority, …"

Annotation = Annotated[str | None, typer.Option(help=ANNOTATION)]
DataUri = Annotated[str, typer.Argument(metavar="KIND:PATH[#SPLIT]", help="Dataset to read.")]
Device = Annotated[str, typer.Option(help="Device: auto, cpu or cuda (cuda:1 for the second GPU).")]
Checkpoint = Annotated[
    Literal["last", "selected"],
    typer.Option(
        help="Checkpoint of a run folder: its last, or that of the largest mean affinity."
    ),
]
Model = Annotated[Path, typer.Argument(help="Run folder, folder that `adapt` wrote, or checkpoint file.")]
OutFolder = Annotated[Path, typer.Option("--out", help="Folder to write to.")]
Overrides = Annotated[
    list[str] | None,
    typer.Argument(metavar="[KEY=VALUE]...", help="Settings, for example steps=500."),
]
Profile = Annotated[
    Literal["cpu", "paper"], typer.Option(help="Small settings for a CPU, or the paper's.")
]
Rows = Annotated[int, typer.Option(min=1, help="Number of images.")]
Affinity = Annotated[
    Literal["all", "diagonal"], typer.Option(help="Neighbours that the affinity maps average.")
]
