"""Tables on the terminal."""

import sys
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import typer

if TYPE_CHECKING:
    import pandas as pd


def print_table(table: "pd.DataFrame") -> None:
    """Print a table as `print_rows` does, with a blank for what is missing."""
    filled = table.astype(object).where(table.notna(), "")
    print_rows(table.columns, filled.itertuples(index=False))


def print_rows(titles: Iterable[Any], rows: Iterable[Iterable[Any]]) -> None:
    """Print rows below the titles of their columns, as Markdown with aligned columns.

    On a terminal, cells are wrapped to its width.
    """
    from rich import box
    from rich.console import Console
    from rich.table import Table

    shown = Table(box=box.MARKDOWN)
    for title in titles:
        shown.add_column(str(title), overflow="fold")
    for row in rows:
        shown.add_row(*map(str, row))
    width = None if sys.stdout.isatty() else 10_000  # whole cells in a pipe or a file
    console = Console(width=width, highlight=False, markup=False)
    with console.capture() as captured:
        console.print(shown)
    lines = captured.get().splitlines()
    typer.echo("\n".join(line for line in lines if line.strip()))  # rich adds blank ones
