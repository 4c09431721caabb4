"""The command `fundus-uda crop`."""

from pathlib import Path

import typer

from .failures import end_with_failed_images
from .options import Annotation, Ids, OverwriteFolder, Recursive


def command(
    photographs: list[str] = typer.Argument(
        metavar="PATH...",
        help="Whole photographs without masks: images, DICOM files, folders of them, or a CSV with "
        "the columns id and path; or one KIND:PATH[#SPLIT] with masks.",
    ),
    out: Path = typer.Option(..., help="Folder to write the crops to, as a folder: dataset."),
    annotation: Annotation = None,
    key_file: Path | None = typer.Option(
        None, help="Name the crops by hashes of their ids, keyed with the bytes of this file."
    ),
    recursive: Recursive = False,
    ids: Ids = "name",
    overwrite: OverwriteFolder = False,
) -> None:
    """Crop whole photographs to squares around the disc, on which networks are trained.

    The disc is located by the mask if there is one, and in the photograph otherwise. It is as
    large in the crop as in the REFUGE crops. A photograph without a disc is listed, and the
    command ends with exit code 3.
    """
    from fundus_uda.clinic.crops import write_crops, write_labelled_crops
    from fundus_uda.clinic.listing import read_key, samples_of_dataset
    from fundus_uda.data.datasets import is_data_uri
    from fundus_uda.data.samples import require_masks
    from fundus_uda.paths import user_path

    key = read_key(key_file) if key_file else None
    if len(photographs) == 1 and is_data_uri(photographs[0]):
        (uri,) = photographs
        samples = require_masks(samples_of_dataset(uri, key, annotation), uri)
        table = write_labelled_crops(samples, out, overwrite)
    else:
        paths = [user_path(path) for path in photographs]
        table = write_crops(paths, out, key, recursive, ids, overwrite)
    done = table[table["status"] == "ok"]
    typer.echo(f"Wrote {len(done)} crops to {out}, and crops.csv. Train with folder:{out}.")
    end_with_failed_images(table.drop(done.index))
