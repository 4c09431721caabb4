"""The command `fundus-uda adapt`."""

from pathlib import Path
from typing import Annotated

import typer

from .failures import end_with_failed_images
from .options import NO_OVERWRITE, Device, Ids, Profile, Recursive
from .tables import print_table


def command(
    target: Annotated[
        list[str],
        typer.Option(
            metavar="PATH",
            help="Photographs of the other camera, whole or cropped: images, DICOM files, folders "
            "of them, a CSV with the columns id and path, or one KIND:PATH[#SPLIT]. Repeat the "
            "option for several.",
        ),
    ],
    overrides: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[KEY=VALUE]...", help="Settings of all stages, for example workers=2."
        ),
    ] = None,
    source: str | None = typer.Option(
        None,
        metavar="KIND:PATH[#SPLIT]",
        help="Labelled photographs of another camera; without them and without --model, rendered "
        "eyes take their place.",
    ),
    model: Path | None = typer.Option(
        None,
        help="Run folder, folder that `adapt` wrote, or checkpoint to start from; without "
        "--source, no source images are used.",
    ),
    outlined: str | None = typer.Option(
        None,
        metavar="DIR",
        help="Folder of a few of these photographs with outlines that a reader drew or corrected "
        "(see `suggest`), to learn beside the source. From five on, they decide which stages are "
        "kept, and adjust the network.",
    ),
    out: Path = typer.Option(
        ..., help=f"Folder to write to: new, or with --resume the one to continue. {NO_OVERWRITE}"
    ),
    resume: bool = typer.Option(False, "--resume", help="Continue an interrupted adaptation."),
    seed: int = typer.Option(0, min=0, help="Random seed of all stages."),
    profile: Profile = "cpu",
    key_file: Path | None = typer.Option(
        None, help="Name the results by hashes of their ids, keyed with the bytes of this file."
    ),
    recursive: Recursive = False,
    ids: Ids = "name",
    device: Device = "auto",
) -> None:
    """Adapt to photographs without labels, then outline and measure them (the default recipe).

    It learns from labelled photographs of another camera (--source), from a model trained on some
    (--model), or, where there are none, from eyes that it renders.

    On two CPU cores it takes eight minutes for 50 photographs from rendered eyes, and half a second
    for each one more; eleven with a --source of 321, and a few minutes on a GPU (which is
    estimated; all with the profile cpu). It needs 3 GB of memory, and 0.2 GB of disk beside the
    pictures. The folder that it writes is a MODEL for every other command.
    """
    from fundus_uda.api import adapt
    from fundus_uda.clinic.report.numbers import read_predictions
    from fundus_uda.clinic.report.summary import measured
    from fundus_uda.recipe.next_steps import command_for_next
    from fundus_uda.recipe.outlining import left_out

    stages = adapt(
        target=target,
        out=out,
        source=source,
        model=model,
        overrides=overrides or (),
        outlined=outlined,
        seed=seed,
        profile=profile,
        key_file=key_file,
        resume=resume,
        recursive=recursive,
        ids=ids,
        device=device,
    )
    print_table(stages.drop(columns="reason").round(4))
    for told in left_out(stages):
        typer.echo(told)
    typer.echo(f"Wrote {out}. See {out / 'predictions' / 'report.html'}.")
    typer.echo(f"For the same camera's next photographs: {command_for_next(out)}")
    table = read_predictions(out / "predictions").table
    end_with_failed_images(table.drop(measured(table).index))
