"""Tables on the terminal, or as JSON for another program."""

import json
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, redirect_stdout
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, TextIO

import typer

if TYPE_CHECKING:
    import pandas as pd

_json: ContextVar[TextIO | None] = ContextVar("json", default=None)
"""Stream that gets tables as JSON; None for tables to read."""


@contextmanager
def as_json() -> Iterator[None]:
    """Print tables as JSON, a list of records, and all else on stderr, where it does not mix."""
    token = _json.set(sys.stdout)
    try:
        with redirect_stdout(sys.stderr):
            yield
    finally:
        _json.reset(token)


def print_table(table: "pd.DataFrame", text: str | None = None) -> None:
    """Print a table as `print_rows` does, with a blank for what is missing.

    Args:
        table: table to print; as JSON, what is missing is null.
        text: the table in Markdown, to print in its place.
    """
    if (stream := _json.get()) is not None:
        known = table.astype(object).where(table.notna(), None)
        records = known.to_dict("records")
        print(json.dumps(records, indent=1, default=lambda value: value.item()), file=stream)
    elif text is not None:
        typer.echo(text)
    else:
        filled = table.astype(object).where(table.notna(), "")
        print_rows(table.columns, filled.itertuples(index=False))


def print_rows(titles: Iterable[Any], rows: Iterable[Iterable[Any]]) -> None:
    """Print rows below the titles of their columns, as Markdown with aligned columns.

    On a terminal, cells are wrapped to its width.
    """
    if (stream := _json.get()) is not None:
        names = list(map(str, titles))
        print(
            json.dumps([dict(zip(names, row, strict=True)) for row in rows], indent=1), file=stream
        )
        return
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
