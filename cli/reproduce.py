"""The command `reproduce` of both applications."""

from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from .applications import Load
from .options import NO_OVERWRITE, Device, Profile
from .tables import print_table


def command(load: Load, tables: str) -> Callable[..., None]:
    """Make the command for one application, whose tables the help names."""

    def reproduce(
        table: str = typer.Argument(metavar="TABLE", help=f"Table of the paper: {tables}."),
        overrides: Annotated[
            list[str] | None,
            typer.Argument(
                metavar="[KEY=VALUE]...", help="Settings of all runs, for example data.target=..."
            ),
        ] = None,
        out: Path = typer.Option(
            Path("reproduction"),
            "--out",
            help=f"Folder of the runs; resumed if it exists. {NO_OVERWRITE}",
        ),
        seeds: int = typer.Option(
            3, min=1, help="Number of seeds of each row; some rows have one."
        ),
        row: list[str] | None = typer.Option(
            None,
            help="Row to train, with the rows that it needs. Repeat the option for several; all "
            "rows without it.",
        ),
        dry_run: bool = typer.Option(
            False, "--dry-run", help="List the runs, their settings and hours; train nothing."
        ),
        costs: bool = typer.Option(
            False, "--costs", help="Count operations and memory of each row; train nothing."
        ),
        profile: Profile = "cpu",
        device: Device = "auto",
    ) -> None:
        """Train the missing runs of a table of the paper, and write it beside the paper's values.

        The command can be stopped and started again at will: finished runs are left alone, and an
        interrupted one resumes.
        """
        from fundus_uda.engine.device import pick_device
        from fundus_uda.experiments import plans
        from fundus_uda.experiments.reproduce import reproduce as run
        from fundus_uda.experiments.reproduce import rows_of
        from fundus_uda.experiments.results import as_markdown

        application, where = load(), pick_device(device)
        given, only = tuple(overrides or ()), tuple(row or ())
        if costs:
            print_table(plans.list_costs(application, table, profile, given, only))
            return
        if dry_run:
            print_table(
                plans.list_runs(application, table, out, where, seeds, profile, given, only)
            )
            return
        written = run(application, table, out, where, seeds, profile, given, only=only)
        rows = rows_of(application, table, profile, given, only)
        print_table(written, as_markdown(application, rows, written))
        typer.echo(f"Wrote {out / table}.csv, .md and .png.")

    return reproduce
