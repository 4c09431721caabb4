"""The command `fundus-uda columns`."""

from dataclasses import asdict

from .tables import print_table


def command() -> None:
    """List the columns of all CSV files that commands write, with unit and definition."""
    import pandas as pd

    from fundus_uda.clinic.columns import data_dictionary

    print_table(pd.DataFrame([asdict(column) for column in data_dictionary()]))
