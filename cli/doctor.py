"""The command `fundus-uda doctor`."""

import json
from dataclasses import asdict
from pathlib import Path

import typer

from .tables import print_table


def command(
    out: Path = typer.Option(Path(), "--out", help="Folder where runs will be written."),
    as_json: bool = typer.Option(False, "--json", help="Print the findings as JSON."),
) -> None:
    """Check the installation, the machine and the data, and say what to do about each fault.

    The command reads no photograph and needs no network. A note tells what is missing or slow; with
    a fault, by which work would fail, it ends with exit code 1.
    """
    import pandas as pd

    from fundus_uda.doctor import diagnose, has_fault

    findings = diagnose(out)
    if as_json:
        typer.echo(json.dumps([asdict(finding) for finding in findings], indent=1))
    else:
        print_table(pd.DataFrame([asdict(finding) for finding in findings]))
    if has_fault(findings):
        raise typer.Exit(1)
