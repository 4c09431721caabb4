"""Tables on the terminal."""

import sys
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    import pandas as pd


def print_table(table: "pd.DataFrame") -> None:
    """Print a table as Markdown with aligned columns, and a blank for what is missing.

    On a terminal, cells are wrapped to its width.
    """
    from rich import box
    from rich.console import Console
    from rich.table import Table

    shown = Table(box=box.MARKDOWN)
    for title in table.columns:
        shown.add_column(str(title), overflow="fold")
    for row in table.astype(object).where(table.notna(), "").itertuples(index=False):
        shown.add_row(*map(str, row))
    width = None if sys.stdout.isatty() else 10_000  # whole cells in a pipe or a file
    console = Console(width=width, highlight=False, markup=False)
    with console.capture() as captured:
        console.print(shown)
    lines = captured.get().splitlines()
    typer.echo("\n".join(line for line in lines if line.strip()))  # rich adds blank ones
