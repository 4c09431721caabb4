"""Options that several commands share."""

from pathlib import Path
from typing import Annotated, Literal

import typer

Device = Annotated[str, typer.Option(help="auto, cpu or cuda (cuda:1 for the second GPU).")]
OutFolder = Annotated[Path, typer.Option("--out", help="Folder to write to.")]
Profile = Annotated[
    Literal["cpu", "paper"], typer.Option(help="The CPU profile, or the paper's settings.")
]
Annotation = Annotated[
    str | None,
    typer.Option(help="Whose masks, where a dataset has several: average, expert1, majority, …"),
]
Rows = Annotated[int, typer.Option(min=1, help="How many images.")]
Affinity = Annotated[
    Literal["all", "diagonal"], typer.Option(help="Neighbours of the affinity maps.")
]
TranslationMethod = Annotated[
    str, typer.Argument(metavar="METHOD", help="fourier, histogram or cycada.")
]
TranslationOverrides = Annotated[
    list[str] | None, typer.Argument(metavar="[KEY=VALUE]...", help="For example beta=0.05.")
]
TranslationModel = Annotated[
    str | None,
    typer.Option(help="A source-only run or checkpoint, whose predictions cycada is to keep."),
]
TranslationConfig = Annotated[
    str | None,
    typer.Option(help="A YAML file, or translation/cycada_cpu for small networks on a CPU."),
]
TableOverrides = Annotated[
    list[str] | None,
    typer.Argument(metavar="[KEY=VALUE]...", help="For all runs, for example data.target=…"),
]
TableRows = Annotated[
    list[str] | None,
    typer.Option(help="Train these rows alone, and those they start from. Repeat for several."),
]
TableFolder = Annotated[Path, typer.Option("--out", help="Folder of runs; resumed where it is.")]
