"""The command `reproduce` of both applications."""

from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from cli.applications import Load
from cli.options import Device, Profile


def command(load: Load, tables: str) -> Callable[..., None]:
    """Make the command for one application, whose tables the help names."""

    def reproduce(
        table: str = typer.Argument(metavar="TABLE", help=f"Table of the paper: {tables}."),
        overrides: Annotated[
            list[str] | None,
            typer.Argument(
                metavar="[KEY=VALUE]...", help="Settings of all runs, for example data.target=…"
            ),
        ] = None,
        out: Path = typer.Option(
            Path("reproduction"), "--out", help="Folder of the runs; resumed if it exists."
        ),
        seeds: int = typer.Option(
            3, min=1, help="Number of seeds of the rows that have several (all rows of table7)."
        ),
        row: list[str] | None = typer.Option(
            None,
            help="Row to train, with the rows that it needs. Repeat the option for several; all "
            "rows without it.",
        ),
        profile: Profile = "cpu",
        device: Device = "auto",
    ) -> None:
        """Train the missing runs of a table of the paper, and write it beside the paper's values.

        The command can be stopped and started again at will: finished runs are left alone, and an
        interrupted one resumes.
        """
        from fundus_uda.engine.device import pick_device
        from fundus_uda.experiments.reproduce import reproduce as run
        from fundus_uda.experiments.results import as_markdown

        application = load()
        written = run(
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

    return reproduce
