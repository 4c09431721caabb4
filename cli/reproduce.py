"""`fundus-uda reproduce`."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from cli.options import Device, Profile


def command(
    table: Annotated[
        Literal["table7", "table3", "table4", "table5"],
        typer.Argument(help="Of the paper; tables 3 to 5, its road scenes, here on the fundus."),
    ],
    overrides: Annotated[
        list[str] | None,
        typer.Argument(metavar="[KEY=VALUE]...", help="For all runs, for example data.target=…"),
    ] = None,
    out: Path = typer.Option(Path("reproduction"), help="Folder of runs; resumed where it stands."),
    seeds: int = typer.Option(3, min=1, help="Of the rows with several."),
    row: Annotated[
        list[str] | None,
        typer.Option(help="Train these rows alone, and those they start from. Repeat for several."),
    ] = None,
    profile: Profile = "cpu",
    device: Device = "auto",
) -> None:
    """Train what is missing of a table of the paper, and write it beside the paper's values.

    Stop it and start it again at will: finished runs are left alone, an interrupted one resumes.
    """
    from fundus_uda.engine.device import pick_device
    from fundus_uda.reproduction import as_markdown, reproduce

    where = pick_device(device)
    written = reproduce(
        table, out, where, seeds, profile, tuple(overrides or ()), typer.echo, tuple(row or ())
    )
    typer.echo(as_markdown(table, written))
    typer.echo(f"Wrote {out / table}.csv and .md.")
