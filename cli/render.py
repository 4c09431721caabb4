"""The command `fundus-uda render`."""

from pathlib import Path
from typing import cast

import typer

from fundus_uda.errors import InputError

from .options import OverwriteFolder


def command(
    out: Path = typer.Option(..., help="New or empty folder to write to, as a folder: dataset."),
    count: int = typer.Option(..., help="Number of photographs."),
    size: int = typer.Option(512, help="Side of the photographs in pixels."),
    whole: bool = typer.Option(
        False, "--whole", help="Render whole fields with the macula, and not crops around the disc."
    ),
    ratio: str = typer.Option(
        "0.1:0.95", metavar="LOW:HIGH", help="Range of the vertical cup-to-disc ratios."
    ),
    without: list[str] = typer.Option(
        [],
        metavar="PART",
        help="Part to leave out: vessels, texture, atrophy, lesions or camera. Repeat the option "
        "for several.",
    ),
    seed: int = typer.Option(0, min=0, help="Random seed of all photographs."),
    overwrite: OverwriteFolder = False,
) -> None:
    """Render labelled photographs of eyes that nobody has, for training without labels.

    The same seed gives the same photographs. `rendered:COUNT` is such a dataset, too, which is
    rendered when it is read: `fundus-uda inspect rendered:100`.
    """
    from fundus_uda.rendering.dataset import write_rendered
    from fundus_uda.rendering.scene import Part, Scene

    low, colon, high = ratio.partition(":")
    try:
        ratios = float(low), float(high if colon else low)
    except ValueError:
        raise InputError(f"Expected --ratio LOW:HIGH, for example 0.3:0.9. Got: {ratio}.") from None
    scene = Scene(size, whole, ratios, frozenset(cast(list[Part], without)))
    write_rendered(scene, seed, count, out, overwrite)
    typer.echo(f"Wrote {count} photographs and masks to {out}. Train with folder:{out}.")
