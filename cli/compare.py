"""The command `compare` of both applications."""

from collections.abc import Callable
from pathlib import Path

import typer

from .applications import Load
from .options import Overwrite
from .tables import print_table


def command(load: Load) -> Callable[..., None]:
    """Make the command for one application."""

    def compare(
        runs: list[Path] = typer.Argument(help="Run folders, or folders that `evaluate` wrote."),
        out: Path | None = typer.Option(None, help="Also write the table to a .csv or .md file."),
        overwrite: Overwrite = False,
    ) -> None:
        """Compare runs side by side, as in the paper's Tables I, II, VI and VII."""
        from fundus_uda.experiments.comparison import write_comparison
        from fundus_uda.files import require_new

        if out is not None:
            require_new(out, overwrite)
        application = load()
        table = application.compare(runs)
        markdown = application.as_markdown(table)
        if out is not None:
            write_comparison(table, markdown, out)
        print_table(table, markdown)

    return compare
