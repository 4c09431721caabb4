"""`fundus-uda compare`."""

from pathlib import Path

import typer


def command(
    runs: list[Path] = typer.Argument(help="Run folders, or folders that `evaluate` wrote."),
    out: Path | None = typer.Option(None, help="Also write the table to a .csv or .md file."),
) -> None:
    """Runs side by side as the paper's Table VII, with the share of the gap that each closes."""
    from fundus_uda.comparison import as_markdown, compare
    from fundus_uda.side_by_side import write_comparison

    table = compare(runs)
    markdown = as_markdown(table)
    if out is not None:
        write_comparison(table, markdown, out)
    typer.echo(markdown)
