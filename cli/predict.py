"""`fundus-uda predict`."""

from pathlib import Path

import typer

from cli.options import Device, OutFolder


def command(
    model: Path = typer.Argument(help="A run folder (its last checkpoint) or a checkpoint file."),
    paths: list[Path] = typer.Argument(help="Images, or folders of images."),
    out: OutFolder = Path("predictions"),
    device: Device = "auto",
) -> None:
    """Masks (0 background, 1 rim, 2 cup), overlays, and the vertical cup-to-disc ratio."""
    from fundus_uda.engine.device import pick_device
    from fundus_uda.model import load_model
    from fundus_uda.prediction import predict

    where = pick_device(device)
    table = predict(load_model(model, where), paths, out, where)
    typer.echo(f"Wrote masks, overlays and measurements.csv of {len(table)} images to {out}.")
