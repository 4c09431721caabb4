"""The command `fundus-uda doctor`."""

from dataclasses import asdict
from pathlib import Path

import typer

from .tables import print_table


def command(
    out: Path = typer.Option(Path(), "--out", help="Folder where runs will be written."),
) -> None:
    """Check the installation, the machine and the data, and say what to do about each fault.

    The command reads no photograph and needs no network. A note tells what is missing or slow; with
    a fault, by which work would fail, it ends with exit code 1.
    """
    import pandas as pd

    from fundus_uda.doctor import diagnose, has_fault

    findings = diagnose(out)
    print_table(pd.DataFrame([asdict(finding) for finding in findings]))
    if has_fault(findings):
        raise typer.Exit(1)
