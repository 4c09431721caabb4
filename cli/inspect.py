"""The command `inspect` of both applications."""

import statistics

import typer

from .options import Annotation, DataUri


def fundus(uri: DataUri, annotation: Annotation = None) -> None:
    """Show what is in a dataset and what is wrong with it, before any training.

    KIND is refuge, refuge-kaggle, rim-one-r3, rim-one-dl, drishti-gs, beal, origa, g1020, grape,
    papila, chaksu, folder, manifest, rendered or outlined. The command lists all problems and ends
    with exit code 2 if there are any.
    """
    from fundus_uda.data.inspection import inspect
    from fundus_uda.masks.region import are_whole_photographs

    found = inspect(uri, annotation)
    typer.echo(f"{found.images} photographs, {found.with_mask} with a readable mask")
    for size, count in found.sizes.most_common(8):
        typer.echo(f"  {size} pixels: {count}")
    if len(found.sizes) > 8:
        typer.echo(f"  and {len(found.sizes) - 8} other sizes")
    if found.disc_shares:
        typer.echo(f"disc area, share of the image: {_spread(found.disc_shares)}")
        if are_whole_photographs(found.disc_diameters):
            typer.echo("  Whole photographs: cut them with `fundus-uda crop` before training.")
        ratios = _spread(found.vertical_cdrs) if found.vertical_cdrs else "no mask has a cup"
        typer.echo(f"vertical cup-to-disc ratio: {ratios}")
        typer.echo(f"cup pixels outside the disc, clipped: {found.clipped_pixels}")
    _end(found.problems)


def roadscene(uri: DataUri) -> None:
    """Show what is in a dataset and what is wrong with it, before any training.

    The command reads every image and label once. It lists all problems and ends with exit code 2
    if there are any.
    """
    from roadscene.inspection import inspect

    found = inspect(uri)
    typer.echo(f"{found.images} images, {found.labelled} with a readable label")
    for size, count in found.sizes.most_common(8):
        typer.echo(f"  {size} pixels: {count}")
    for name, share in found.class_shares.items():
        typer.echo(f"  {name}: {100 * share:.2f} % of the labelled pixels")
    if found.ignored_share is not None:
        typer.echo(f"  no class: {100 * found.ignored_share:.2f} % of all pixels")
    _end(found.problems)


def _end(problems: list[str]) -> None:
    """List the problems and exit with 2, if there are any."""
    if problems:
        typer.secho(f"{len(problems)} problem(s):", err=True, fg="red")
        for problem in problems:
            typer.echo(f"  {problem}", err=True)
        raise typer.Exit(2)
    typer.echo("No problem found.")


def _spread(values: list[float]) -> str:
    return f"mean {statistics.fmean(values):.3f}, from {min(values):.3f} to {max(values):.3f}"
