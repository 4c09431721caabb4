"""`fundus-uda evaluate`."""

from pathlib import Path

import typer

from cli.options import Annotation, Device, OutFolder


def command(
    model: Path = typer.Argument(help="A run folder (its last checkpoint) or a checkpoint file."),
    address: str = typer.Argument(metavar="KIND:PATH[#SPLIT]"),
    out: OutFolder = Path("evaluation"),
    annotation: Annotation = None,
    device: Device = "auto",
) -> None:
    """Dice of cup and disc per image (dice.csv) and over all (summary.json)."""
    from fundus_uda.comparison import as_markdown, compare
    from fundus_uda.engine.device import pick_device
    from fundus_uda.evaluation import evaluate_model

    evaluate_model(model, address, annotation, out, pick_device(device))
    typer.echo(as_markdown(compare([out])))
    typer.echo(f"Wrote {out / 'dice.csv'} and {out / 'summary.json'}.")
