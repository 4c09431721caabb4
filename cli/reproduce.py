"""`fundus-uda reproduce`, and what `roadscene reproduce` shares with it."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from cli.options import Device, Profile, TableFolder, TableOverrides, TableRows

if TYPE_CHECKING:
    from fundus_uda.tables import Application


def command(
    table: Annotated[
        Literal["table7", "table3", "table4", "table5"],
        typer.Argument(help="Of the paper; tables 3 to 5, its road scenes, here on the fundus."),
    ],
    overrides: TableOverrides = None,
    out: TableFolder = Path("reproduction"),
    seeds: int = typer.Option(3, min=1, help="Of the rows with several, all in table7."),
    row: TableRows = None,
    profile: Profile = "cpu",
    device: Device = "auto",
) -> None:
    """Train what is missing of a table of the paper, and write it beside the paper's values.

    Stop it and start it again at will: finished runs are left alone, an interrupted one resumes.
    """
    from fundus_uda.application import FUNDUS

    reproduce_table(FUNDUS, table, overrides, out, seeds, row, profile, device)


def reproduce_table(
    application: "Application",
    table: str,
    overrides: list[str] | None,
    out: Path,
    seeds: int,
    row: list[str] | None,
    profile: Literal["cpu", "paper"],
    device: str,
) -> None:
    """Of either application: train, write, and print the table."""
    from fundus_uda.engine.device import pick_device
    from fundus_uda.reproduction import reproduce
    from fundus_uda.written_tables import as_markdown

    written = reproduce(
        application,
        table,
        out,
        pick_device(device),
        seeds,
        profile,
        tuple(overrides or ()),
        typer.echo,
        tuple(row or ()),
    )
    typer.echo(as_markdown(application, table, written))
    typer.echo(f"Wrote {out / table}.csv, .md and .png.")
