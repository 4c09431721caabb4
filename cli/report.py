"""`fundus-uda report`."""

from pathlib import Path

import typer

from cli.options import Annotation


def command(
    run: Path = typer.Argument(help="A folder that `predict` or `adapt` wrote."),
    before: Path | None = typer.Option(
        None,
        help="What `predict` wrote of the same photographs with the model before adaptation, if it "
        "is not what RUN was written with.",
    ),
    reference: str | None = typer.Option(
        None, metavar="KIND:PATH[#SPLIT]", help="Masks of the same photographs, to score against."
    ),
    annotation: Annotation = None,
    out: Path | None = typer.Option(None, help="The page to write, if not report.html in RUN."),
) -> None:
    """One page to look through, with its figures as CSV and JSON."""
    from fundus_uda.clinic.report import write_report
    from fundus_uda.data.datasets import load_samples
    from fundus_uda.data.samples import require_masks

    samples = []
    if reference is not None:
        samples = require_masks(load_samples(reference, annotation), reference)
    page = write_report(run, before, samples, out)
    typer.echo(f"Wrote {page}, and its figures as .csv and .json.")
