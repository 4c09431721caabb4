"""The command `evaluate` of both applications."""

from pathlib import Path

import typer

from cli.options import Annotation, DataUri, Device, Model, OutFolder
from cli.published import Published, PublishedOverrides, published_settings


def fundus(
    model: Model,
    uri: DataUri,
    out: OutFolder = Path("evaluation"),
    annotation: Annotation = None,
    device: Device = "auto",
) -> None:
    """Compute Dice of cup and disc per image (dice.csv) and over all images (summary.json)."""
    from fundus_uda.engine.device import pick_device
    from fundus_uda.segmentation.comparison import as_markdown, compare
    from fundus_uda.segmentation.evaluation import evaluate_model

    evaluate_model(model, uri, annotation, out, pick_device(device))
    typer.echo(as_markdown(compare([out])))
    typer.echo(f"Wrote {out / 'dice.csv'} and {out / 'summary.json'}.")


def roadscene(
    model: Model,
    uri: DataUri,
    out: OutFolder = Path("evaluation"),
    published: Published = None,
    overrides: PublishedOverrides = None,
    device: Device = "auto",
) -> None:
    """Compute IoU per class (iou.csv) and its means (summary.json); write pictures and label ids.

    The folder `export` holds the files that Cityscapes' own evaluator reads.
    """
    from fundus_uda.engine.device import pick_device
    from roadscene.comparison import as_markdown, compare
    from roadscene.evaluation import evaluate_model

    settings = published_settings(published, overrides)
    if report := evaluate_model(model, uri, out, pick_device(device), settings):
        typer.echo(report)
    typer.echo(as_markdown(compare([out])))
    typer.echo(f"Wrote iou.csv, summary.json, colour and export to {out}.")
