"""The command `fundus-uda suggest`."""

from pathlib import Path

import typer

from .options import Checkpoint, Device, Ids, Model, OverwriteFolder, Recursive
from .tables import print_table


def command(
    model: Model,
    paths: list[Path] | None = typer.Argument(
        None,
        metavar="[PATHS]...",
        help="Photographs, as for `predict`; without any, those that `adapt` adapted to.",
    ),
    count: int = typer.Option(10, min=1, help="Number of photographs to outline."),
    out: Path = typer.Option(Path("to_outline"), help="New or empty folder to write to."),
    before: Path | None = typer.Option(
        None,
        help="MODEL to disagree with; where MODEL is the folder of an adaptation, by default the "
        "network from which it started, or that of its first stage.",
    ),
    key_file: Path | None = typer.Option(
        None, help="Name the results by hashes of their ids, keyed with the bytes of this file."
    ),
    recursive: Recursive = False,
    ids: Ids = "name",
    overwrite: OverwriteFolder = False,
    checkpoint: Checkpoint = "last",
    device: Device = "auto",
) -> None:
    """Choose the photographs that are most worth a reader's outlines, ready for an editor.

    By quality without labels, by disagreement of models, and from small to large cups. The folder
    has squares around the discs and their outlines so far, for LabelMe, 3D Slicer, ITK-SNAP or
    napari. `adapt --outlined` learns those that are corrected, and is adjusted to five or more.
    """
    from fundus_uda.engine.model_path import require_model

    require_model(model, paths or [], checkpoint)
    from fundus_uda.clinic.listing import read_key
    from fundus_uda.clinic.suggest import suggest
    from fundus_uda.engine.device import pick_device
    from fundus_uda.paths import user_path
    from fundus_uda.recipe.adapt import first_network, photographs_of
    from fundus_uda.segmentation.model import load_model

    where = pick_device(device)
    given = [user_path(path) for path in paths] if paths else [photographs_of(model)]
    other = before or first_network(model)
    table = suggest(
        load_model(model, where, checkpoint),
        given,
        out,
        count,
        load_model(other, where) if other else None,
        read_key(key_file) if key_file else None,
        recursive,
        ids,
        overwrite,
    )
    print_table(table.drop(columns="accepted").round(3))
    typer.echo(f"Wrote {len(table)} photographs and their outlines to {out}. See its README.txt.")
