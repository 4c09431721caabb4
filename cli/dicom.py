"""The command `fundus-uda dicom`."""

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
    out: Path = typer.Option(..., help="New or empty folder for the segmentations."),
    kind: Annotated[
        Literal["BINARY", "LABELMAP"],
        typer.Option(help="BINARY, which more viewers read, or LABELMAP, which is smaller."),
    ] = "BINARY",
    reports: bool = typer.Option(
        False,
        "--sr",
        help="Also write each vertical ratio, with its method, as a DICOM SR (TID 1500).",
    ),
    key_file: Path | None = typer.Option(None, help="Key file with which `predict` named them."),
    recursive: Recursive = False,
    ids: Ids = "name",
    overwrite: OverwriteFolder = False,
) -> None:
    """Write outlines of DICOM photographs as DICOM Segmentations, for a viewer or a PACS.

    Each repeats the patient and the study of its photograph, as DICOM asks: keep them where the
    photographs are kept. A photograph that is no DICOM file, or has no outline, is listed, and the
    command ends with exit code 3.
    """
    from fundus_uda.clinic.dicom_seg import write_segmentations
    from fundus_uda.clinic.listing import read_key

    key = read_key(key_file) if key_file else None
    given = [path.expanduser() for path in paths]
    table = write_segmentations(
        predictions, given, out, kind, key, recursive, ids, reports, overwrite
    )
    done = table[table["status"] == "ok"]
    beside = ", each with a structured report" if reports else ""
    typer.echo(f"Wrote {len(done)} DICOM Segmentations to {out}{beside}.")
    end_with_failed_images(table.drop(done.index), "could not be written")
