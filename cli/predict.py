"""`fundus-uda predict`."""

from pathlib import Path

import typer

from cli.failures import end_with_failed_images
from cli.options import Device, OutFolder


def command(
    model: Path = typer.Argument(help="A run folder (its last checkpoint) or a checkpoint file."),
    paths: list[Path] = typer.Argument(
        help="Whole photographs or crops around the disc: images, DICOM files, folders of them, "
        "or a CSV with the columns id and path."
    ),
    out: OutFolder = Path("predictions"),
    key_file: Path | None = typer.Option(
        None, help="Names results by a hash of the ids with the bytes of this file."
    ),
    before: Path | None = typer.Option(
        None, help="What `predict` wrote of the same photographs with the model before adaptation."
    ),
    device: Device = "auto",
) -> None:
    """Masks, overlays, measurements and a report, with flags on what to distrust.

    A photograph that cannot be read, or that shows no disc, gets a row with the reason, and the
    command ends with exit code 3.
    """
    from fundus_uda.clinic.batch import predict
    from fundus_uda.clinic.reading import read_key
    from fundus_uda.clinic.summary import measured
    from fundus_uda.engine.device import pick_device
    from fundus_uda.model import load_model

    where = pick_device(device)
    key = read_key(key_file) if key_file else None
    table = predict(load_model(model, where), paths, out, where, key, before)
    done = measured(table)
    typer.echo(
        f"Wrote masks and measurements of {len(done)} photographs to {out}; "
        f"{(table['status'] == 'flagged').sum()} are flagged. See {out / 'report.html'}."
    )
    end_with_failed_images(table.drop(done.index))
