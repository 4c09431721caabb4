"""The command `fundus-uda measure`."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from .failures import end_with_failed_images
from .options import Overwrite


def command(
    masks: list[Path] = typer.Argument(help="Mask images or NIfTI, or folders of them."),
    out: Path = typer.Option(..., help="CSV file to write."),
    spacing: tuple[float, float] | None = typer.Option(
        None, metavar="ROW COLUMN", help="Millimetres on the retina between rows and columns."
    ),
    laterality: str | None = typer.Option(
        None, help="Eye of all masks: OD or OS, right or left, R or L."
    ),
    names: Annotated[
        Literal["own", "automorph"],
        typer.Option(help="Names of the columns: ours, or those of AutoMorph, as far as it goes."),
    ] = "own",
    overwrite: Overwrite = False,
) -> None:
    """Measure masks made elsewhere: cup-to-disc ratios, sizes, rim, ISNT and disc damage scale.

    The values of a mask are 0 background, 1 rim, 2 cup, or REFUGE's 255 background, 128 rim,
    0 cup. A mask that cannot be measured gets a row with the reason, and the command ends with
    exit code 3.
    """
    from fundus_uda.clinic.columns import AUTOMORPH
    from fundus_uda.clinic.measure import measure_files
    from fundus_uda.files import require_new, write_table

    require_new(out, overwrite)
    table = measure_files(masks, spacing, laterality)
    out.parent.mkdir(parents=True, exist_ok=True)
    failed = table[table["status"] != "ok"]
    automorph = table[list(AUTOMORPH)].rename(columns=AUTOMORPH)
    write_table(out, automorph if names == "automorph" else table)
    typer.echo(f"Wrote the measurements of {len(table) - len(failed)} masks to {out}.")
    end_with_failed_images(failed)
