"""Options that several commands share."""

from pathlib import Path
from typing import Annotated

import typer

Device = Annotated[str, typer.Option(help="auto, cpu or cuda (cuda:1 for the second GPU).")]
OutFolder = Annotated[Path, typer.Option("--out", help="Folder to write to.")]
Annotation = Annotated[
    str | None,
    typer.Option(help="Whose masks, where a dataset has several: average, expert1, majority, …"),
]
