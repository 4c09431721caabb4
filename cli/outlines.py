"""The command `fundus-uda outlines`."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from .failures import end_with_failed_images
from .options import Ids, OverwriteFolder, Recursive


def command(
    predictions: Path = typer.Argument(help="Folder that `predict` or `adapt` wrote masks into."),
    paths: list[Path] = typer.Argument(
        metavar="PATHS...", help="The same photographs, as they were given to `predict`."
    ),
    form: Annotated[
        Literal["labelme", "coco"],
        typer.Option(
            "--format", help="A JSON of LabelMe for each photograph, or one of COCO for all."
        ),
    ] = "labelme",
    out: Path = typer.Option(..., help="New or empty folder, to be kept with the photographs."),
    key_file: Path | None = typer.Option(None, help="Key file with which `predict` named them."),
    recursive: Recursive = False,
    ids: Ids = "name",
    overwrite: OverwriteFolder = False,
) -> None:
    """Write outlines as polygons for annotation programs: LabelMe, or any that reads COCO.

    The files name the photographs by their place. A photograph without an outline is listed, and
    the command ends with exit code 3.
    """
    from fundus_uda.clinic.editors import write_for_editors
    from fundus_uda.clinic.listing import read_key

    key = read_key(key_file) if key_file else None
    given = [path.expanduser() for path in paths]
    table = write_for_editors(predictions, given, out, form, key, recursive, ids, overwrite)
    done = table[table["status"] == "ok"]
    typer.echo(f"Wrote the outlines of {len(done)} photographs to {out}.")
    end_with_failed_images(table.drop(done.index), "could not be written")
