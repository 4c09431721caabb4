"""Options and arguments that several commands share."""

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Literal

import typer


def experiments_of(group: str) -> Callable[[str], list[str]]:
    """Make the completion of a shell for the names of the shipped experiments."""

    def experiments_like(incomplete: str) -> list[str]:
        from fundus_uda.config.read import shipped_experiments

        names = shipped_experiments(group)
        alone = dict.fromkeys(name.partition("/")[2] for name in names if name.startswith("cpu/"))
        return [name for name in (*alone, *names) if name.startswith(incomplete)]

    return experiments_like


ANNOTATION = "Annotation to use if a dataset has several: average, expert1, majority, ..."

Annotation = Annotated[str | None, typer.Option(help=ANNOTATION)]
DataUri = Annotated[str, typer.Argument(metavar="KIND:PATH[#SPLIT]", help="Dataset to read.")]
Device = Annotated[
    str,
    typer.Option(
        help="Device: auto, cpu, cuda (cuda:1 for the second GPU) or mps (a Mac's; untested)."
    ),
]
Quiet = Annotated[
    bool,
    typer.Option("--quiet", "-q", help="Print no progress and no notes, only results and errors."),
]
Verbose = Annotated[
    bool,
    typer.Option(
        "--verbose", "-v", help="Print versions, every step and what became of each photograph."
    ),
]
Json = Annotated[
    bool, typer.Option("--json", help="Print the table as JSON, and all else on stderr.")
]
Checkpoint = Annotated[
    Literal["last", "selected"],
    typer.Option(
        help="Checkpoint of a run folder: its last, or that of the largest mean affinity."
    ),
]
Model = Annotated[
    Path,
    typer.Argument(
        help="Run folder, folder that `adapt` wrote, checkpoint, or file that `export` wrote."
    ),
]
OutFolder = Annotated[Path, typer.Option("--out", help="Folder to write to.")]
Recursive = Annotated[
    bool, typer.Option("--recursive", help="Take the photographs in all folders below, too.")
]
Ids = Annotated[
    Literal["name", "path"],
    typer.Option(help="Ids from file names, or from the folders before them, too."),
]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace what is at --out.")]
NO_OVERWRITE = "Hours of training are never replaced: remove such a folder yourself."
"""What the help of a command without `--overwrite` says of its folder."""
OverwriteFolder = Annotated[
    bool,
    typer.Option(
        "--overwrite",
        help="Replace what this command wrote to --out before, if nothing there was added or "
        "changed since.",
    ),
]
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
