"""Tables on the terminal."""

from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    import pandas as pd


def print_table(table: "pd.DataFrame") -> None:
    """Print a table as Markdown, with a blank for what is missing."""
    titles = list(table.columns)
    typer.echo(f"| {' | '.join(titles)} |\n|{'---|' * len(titles)}")
    for row in table.astype(object).where(table.notna(), "").itertuples(index=False):
        typer.echo(f"| {' | '.join(map(str, row))} |")
