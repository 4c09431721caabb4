"""`fundus-uda inspect`."""

import math
import statistics

import typer

from cli.options import Annotation


def command(
    address: str = typer.Argument(metavar="KIND:PATH[#SPLIT]"), annotation: Annotation = None
) -> None:
    """What is in a dataset and what is wrong with it, before any training.

    KIND is refuge, rim-one-r3, rim-one-dl, drishti-gs, folder or manifest. Ends with exit code 2
    if there are problems, and lists all of them.
    """
    from fundus_uda.clinic.localise import CROP_FROM
    from fundus_uda.data.inspection import inspect

    found = inspect(address, annotation)
    typer.echo(f"{found.images} photographs, {found.with_mask} with a readable mask")
    for size, count in found.sizes.most_common(8):
        typer.echo(f"  {size} pixels: {count}")
    if len(found.sizes) > 8:
        typer.echo(f"  and {len(found.sizes) - 8} other sizes")
    if found.disc_shares:
        typer.echo(f"disc area, share of the image: {_spread(found.disc_shares)}")
        if statistics.median(found.disc_shares) < math.pi / 4 * CROP_FROM**2:
            typer.echo("  Whole photographs: cut them with `fundus-uda crop` before training.")
        typer.echo(f"vertical cup-to-disc ratio: {_spread(found.vertical_cdrs)}")
        typer.echo(f"cup pixels outside the disc, clipped: {found.clipped_pixels}")
    if found.problems:
        typer.secho(f"{len(found.problems)} problem(s):", err=True, fg="red")
        for problem in found.problems:
            typer.echo(f"  {problem}", err=True)
        raise typer.Exit(2)
    typer.echo("No problem found.")


def _spread(values: list[float]) -> str:
    return f"mean {statistics.fmean(values):.3f}, from {min(values):.3f} to {max(values):.3f}"
