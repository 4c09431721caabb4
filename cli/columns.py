"""The command `fundus-uda columns`."""

import json
from dataclasses import asdict

import typer

from .tables import print_table


def command(
    as_json: bool = typer.Option(False, "--json", help="Print the columns as JSON."),
) -> None:
    """List the columns of every CSV file that commands write, with unit and definition."""
    import pandas as pd

    from fundus_uda.clinic.columns import data_dictionary

    rows = [asdict(column) for column in data_dictionary()]
    if as_json:
        typer.echo(json.dumps(rows, indent=1))
    else:
        print_table(pd.DataFrame(rows))
