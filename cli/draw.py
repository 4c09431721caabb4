"""`fundus-uda draw`."""

from pathlib import Path

import typer

from cli.options import Affinity, Device, Rows


def command(
    address: str = typer.Argument(metavar="KIND:PATH[#SPLIT]", help="Photographs to show."),
    models: list[Path] = typer.Argument(help="Run folders or checkpoints, side by side."),
    out: Path = typer.Option(Path("results.png"), help="PNG to write."),
    rows: Rows = 4,
    affinity: Affinity = "all",
    device: Device = "auto",
) -> None:
    """A picture: target, ground truth, then outlines and affinity map of each model."""
    from fundus_uda.engine.device import pick_device
    from fundus_uda.figures import draw_results

    draw_results(address, models, out, pick_device(device), rows, affinity)
    typer.echo(f"Wrote {out}.")
