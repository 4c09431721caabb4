"""`fundus-uda crop`."""

from pathlib import Path

import typer

from cli.failures import end_with_failed_images
from cli.options import Annotation


def command(
    photographs: list[str] = typer.Argument(
        metavar="PATH...",
        help="Whole photographs without masks: images, DICOM files, folders of them, a CSV of id "
        "and path; or one KIND:PATH[#SPLIT] with masks.",
    ),
    out: Path = typer.Option(..., help="Folder of the crops, a folder: dataset."),
    annotation: Annotation = None,
    key_file: Path | None = typer.Option(
        None, help="Names the crops of photographs by a hash with the bytes of this file."
    ),
) -> None:
    """Squares around the discs of whole photographs, which is what networks train on.

    The disc is found by the masks where there are some, and in the photograph elsewhere. It
    comes out as large as in the REFUGE crops. A photograph without a disc is listed, and the
    command ends with exit code 3.
    """
    from fundus_uda.clinic.crops import write_crops, write_labelled_crops
    from fundus_uda.clinic.reading import read_key
    from fundus_uda.data.datasets import is_address, load_samples
    from fundus_uda.data.samples import require_masks
    from fundus_uda.engine.errors import InputError

    key = read_key(key_file) if key_file else None
    if len(photographs) == 1 and is_address(photographs[0]):
        if key is not None:
            raise InputError(
                "Expected --key-file with photographs alone. Got: a dataset, whose names are kept."
            )
        samples = require_masks(load_samples(photographs[0], annotation), photographs[0])
        table = write_labelled_crops(samples, out)
    else:
        table = write_crops([Path(path).expanduser() for path in photographs], out, key)
    table.to_csv(out / "crops.csv", index=False)
    done = table[table["status"] == "ok"]
    typer.echo(f"Wrote {len(done)} crops to {out}, and crops.csv. Train with folder:{out}.")
    end_with_failed_images(table.drop(done.index))
