"""The command `merge`."""

from pathlib import Path

import typer

from .options import OutFolder, OverwriteFolder


def command(
    parts: list[Path] = typer.Argument(help="Folders that `predict --part` wrote, of all parts."),
    out: OutFolder = Path("predictions"),
    before: Path | None = typer.Option(None, help="Folder that `predict` was given as --before."),
    overwrite: OverwriteFolder = False,
) -> None:
    """Merge the parts of an archive into one folder, with one table and one report."""
    from fundus_uda.clinic.merge import merge_parts

    table = merge_parts(parts, out, before, overwrite)
    typer.echo(f"Wrote the {len(table)} photographs of {len(parts)} parts to {out}.")
