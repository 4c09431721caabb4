"""`fundus-uda train`."""

from pathlib import Path
from typing import Annotated

import typer

from cli.options import Device


def command(
    config: str = typer.Argument(help="A YAML file, or a name that `configs` lists."),
    overrides: Annotated[
        list[str] | None, typer.Argument(metavar="[KEY=VALUE]...", help="For example steps=500.")
    ] = None,
    out: Path = typer.Option(..., help="Run folder: new, or with --resume that of the run."),
    resume: bool = typer.Option(False, "--resume", help="Continue from the last checkpoint."),
    device: Device = "auto",
) -> None:
    """Train one method into a run folder, then score it if data.test is set.

    An interrupted and resumed run equals an unbroken one bit for bit.
    """
    from fundus_uda.comparison import as_markdown, compare
    from fundus_uda.engine.device import pick_device
    from fundus_uda.settings import read_settings
    from fundus_uda.training import train

    settings = read_settings(config, overrides or [])
    if train(settings, out, pick_device(device), continue_run=resume):
        typer.echo(as_markdown(compare([out])))
    typer.echo(f"Wrote {out}.")
