"""The command `predict` of both applications."""

from pathlib import Path

import typer

from .failures import end_with_failed_images
from .options import Checkpoint, Device, Ids, Model, OutFolder, OverwriteFolder, Recursive
from .published import Published, PublishedOverrides, published_settings


def fundus(
    paths: list[Path] = typer.Argument(
        metavar="[MODEL] PATHS...",
        help="Run folder, folder that `adapt` wrote, checkpoint, or file that `export` wrote; "
        "without one, the network that comes with the program. Then whole photographs or crops "
        "around the disc: images, DICOM files, folders of them, a CSV with the columns id and "
        "path, and laterality (OD or OS) if you like, or KIND:PATH[#SPLIT].",
    ),
    out: OutFolder = Path("predictions"),
    key_file: Path | None = typer.Option(
        None, help="Name the results by hashes of their ids, keyed with the bytes of this file."
    ),
    before: Path | None = typer.Option(
        None,
        help="Folder that `predict` wrote for the same photographs with the model before "
        "adaptation.",
    ),
    recursive: Recursive = False,
    ids: Ids = "name",
    part: str | None = typer.Option(
        None,
        metavar="I/N",
        help="Take the I-th of N parts of the photographs alone, for `merge` to put together.",
    ),
    overwrite: OverwriteFolder = False,
    checkpoint: Checkpoint = "last",
    device: Device = "auto",
) -> None:
    """Write masks, overlays, measurements and a report that flags what to distrust.

    A photograph that cannot be read, that shows no disc, or in which the network is unsure of it,
    gets a row with the reason, and the command ends with exit code 3.
    """
    from fundus_uda.engine.model_path import names_a_model, require_model

    model, photographs = None, paths
    if names_a_model(paths):
        model, *photographs = paths
        require_model(model, photographs, checkpoint)
    from fundus_uda.api import predict
    from fundus_uda.clinic.report.summary import measured

    table = predict(
        photographs,
        model=model,
        out=out,
        key_file=key_file,
        before=before,
        recursive=recursive,
        ids=ids,
        part=part,
        overwrite=overwrite,
        checkpoint=checkpoint,
        device=device,
    )
    done = measured(table)
    typer.echo(
        f"Wrote masks and measurements of {len(done)} photographs to {out}; "
        f"{(table['status'] == 'flagged').sum()} are flagged. See {out / 'report.html'}."
    )
    end_with_failed_images(table.drop(done.index))


def roadscene(
    model: Model,
    paths: list[Path] = typer.Argument(help="Images, or folders of images."),
    out: OutFolder = Path("predictions"),
    published: Published = None,
    overrides: PublishedOverrides = None,
    overwrite: OverwriteFolder = False,
    checkpoint: Checkpoint = "last",
    device: Device = "auto",
) -> None:
    """Write Cityscapes label ids and colour pictures at each image's own size.

    An image that cannot be read gets a row with the reason in predictions.csv, and the command ends
    with exit code 3.
    """
    from fundus_uda.engine.model_path import require_model

    settings = published_settings(published, overrides)
    require_model(model, paths, checkpoint)
    from fundus_uda.engine.device import pick_device
    from roadscene.model import load_model
    from roadscene.prediction import predict

    loaded = load_model(model, pick_device(device), settings, checkpoint)
    if loaded.report is not None:
        typer.echo(str(loaded.report))
    table = predict(loaded, paths, out, overwrite)
    failed = table[table["status"] != "ok"]
    typer.echo(f"Wrote label_ids and colour of {len(table) - len(failed)} images to {out}.")
    end_with_failed_images(failed)
