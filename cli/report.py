"""The command `fundus-uda report`."""

from pathlib import Path

import typer

from .options import Annotation, Overwrite


def command(
    run: Path = typer.Argument(help="Folder that `predict` or `adapt` wrote."),
    before: Path | None = typer.Option(
        None,
        help="Folder that `predict` wrote for the same photographs with the model before "
        "adaptation, if RUN was not written with it.",
    ),
    reference: str | None = typer.Option(
        None, metavar="KIND:PATH[#SPLIT]", help="Masks of the same photographs to score against."
    ),
    annotation: Annotation = None,
    out: Path | None = typer.Option(None, help="Page to write, if not report.html in RUN."),
    overwrite: Overwrite = False,
    reviewed: Path | None = typer.Option(
        None, help="CSV of reviews that the page's button exported, to show and count."
    ),
) -> None:
    """Write one page to look through, with its numbers as CSV and JSON."""
    from fundus_uda.clinic.report.page import write_report
    from fundus_uda.data.datasets import load_samples
    from fundus_uda.data.samples import require_masks
    from fundus_uda.files import require_new
    from fundus_uda.segmentation.readers import disagreement_of_readers

    for file in (out.with_suffix(suffix) for suffix in (".html", ".csv", ".json")) if out else ():
        require_new(file, overwrite)
    samples, readers = [], None
    if reference is not None:
        samples = require_masks(load_samples(reference, annotation), reference)
        readers = disagreement_of_readers(reference)
    page = write_report(run, before, samples, out, reviewed, readers)
    typer.echo(f"Wrote {page}, and its numbers as .csv and .json.")
