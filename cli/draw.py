"""`fundus-uda draw`."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from cli.options import Device


def command(
    address: str = typer.Argument(metavar="KIND:PATH[#SPLIT]", help="Photographs to show."),
    models: list[Path] = typer.Argument(help="Run folders or checkpoints, side by side."),
    out: Path = typer.Option(Path("results.png"), help="PNG to write."),
    rows: int = typer.Option(4, min=1, help="How many photographs."),
    affinity: Annotated[
        Literal["all", "diagonal"], typer.Option(help="Neighbours of the affinity maps.")
    ] = "all",
    device: Device = "auto",
) -> None:
    """A picture: target, ground truth, then outlines and affinity map of each model."""
    from fundus_uda.engine.device import pick_device
    from fundus_uda.figures import draw_results

    draw_results(address, models, out, pick_device(device), rows, affinity)
    typer.echo(f"Wrote {out}.")
