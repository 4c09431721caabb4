"""The command `evaluate` of both applications."""

from pathlib import Path

import typer

from .options import Annotation, Checkpoint, DataUri, Device, Model, OutFolder, OverwriteFolder
from .published import Published, PublishedOverrides, published_settings
from .tables import print_table


def fundus(
    model: Model,
    uri: DataUri,
    out: OutFolder = Path("evaluation"),
    annotation: Annotation = None,
    checkpoint: Checkpoint = "last",
    overwrite: OverwriteFolder = False,
    device: Device = "auto",
) -> None:
    """Compute Dice of cup and disc per image (dice.csv) and over all images (summary.json)."""
    from fundus_uda.engine.model_path import require_model

    require_model(model, [Path(uri)], checkpoint)
    from fundus_uda.engine.device import pick_device
    from fundus_uda.segmentation.comparison import as_markdown, compare
    from fundus_uda.segmentation.evaluation import evaluate_model

    where = pick_device(device)
    summary = evaluate_model(model, uri, annotation, out, where, checkpoint, overwrite)
    table = compare([out])
    print_table(table, as_markdown(table))
    measured, refuge = summary["vertical_cdr_images"], summary["vertical_cdr_refuge_error"]
    if measured:
        typer.echo(
            f"Mean absolute error of the vertical ratio: {summary['vertical_cdr_error']:.3f} on "
            f"the {measured} of {summary['dice_disc']['n']} images with a ratio"
        )
        within, up, down = (
            f"{100 * summary[f'vertical_cdr_{name}']:.0f} %"
            for name in ("within_0.05", "crosses_up", "crosses_down")
        )
        typer.echo(
            f"Within 0.05 of the reader: {within}; 0.6 or more where the reader's ratio is below: "
            f"{up}; the other way round: {down}"
        )
    if refuge is not None:
        typer.echo(f"The same as REFUGE counts, with 0 where no disc is found: {refuge:.3f}")
    if summary["cup_area_ratio"] is not None:
        typer.echo(f"Cup area over the reader's: {summary['cup_area_ratio']:.2f}")
    if readers := summary["readers"]:
        pairs = ", ".join(" and ".join(pair) for pair in readers["pairs"])
        typer.echo(
            f"The readers' own difference ({pairs}): Dice of the cup {readers['dice_cup']:.3f}, of "
            f"the disc {readers['dice_disc']:.3f}; vertical ratio "
            f"{readers['vertical_cdr_error']:.3f}"
        )
    typer.echo(f"Seen in training: {summary['seen_in_training']}")
    typer.echo(f"Wrote {out / 'dice.csv'} and {out / 'summary.json'}.")


def roadscene(
    model: Model,
    uri: DataUri,
    out: OutFolder = Path("evaluation"),
    published: Published = None,
    overrides: PublishedOverrides = None,
    checkpoint: Checkpoint = "last",
    overwrite: OverwriteFolder = False,
    device: Device = "auto",
) -> None:
    """Compute IoU per class (iou.csv) and its means (summary.json); write pictures and label ids.

    The folder `export` holds the files that Cityscapes' own evaluator reads.
    """
    from fundus_uda.engine.model_path import require_model

    settings = published_settings(published, overrides)
    require_model(model, [Path(uri)], checkpoint)
    from fundus_uda.engine.device import pick_device
    from roadscene.comparison import as_markdown, compare
    from roadscene.evaluation import evaluate_model

    where = pick_device(device)
    if report := evaluate_model(model, uri, out, where, settings, checkpoint, overwrite):
        typer.echo(report)
    table = compare([out])
    print_table(table, as_markdown(table))
    typer.echo(f"Wrote iou.csv, summary.json, colour and export to {out}.")
