"""Exit codes of the commands: 0 done, 1 the work failed, 2 wrong usage or input, 3 done in part."""

import io
import sys
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from fundus_uda.errors import InputError, RunError

if TYPE_CHECKING:
    import pandas as pd


def run_app(app: typer.Typer) -> None:
    """Run a command line, and print errors that a user can fix without a traceback.

    Unexpected errors keep their traceback: they are faults of the program. Characters that the
    terminal does not have are written as escapes.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    if not sys.warnoptions:  # what libraries say of odd files is not for users
        warnings.simplefilter("ignore")
    try:
        app()
    except InputError as error:
        typer.secho(f"Error: {error}", err=True, fg="red")
        sys.exit(2)
    except OSError as error:
        from fundus_uda.files import is_full

        if is_full(error):
            what = "Make room, then go on: what was written before is whole."
            typer.secho(f"Failed: {error.strerror}. {what}", err=True, fg="red")
            sys.exit(1)
        if error.filename is None:
            raise
        typer.secho(f"Error: {error.strerror}: {error.filename}", err=True, fg="red")
        sys.exit(2)
    except RunError as error:
        typer.secho(f"Failed: {error}", err=True, fg="red")
        sys.exit(1)


def end_with_failed_images(failed: "pd.DataFrame", told: str = "could not be measured") -> None:
    """List the images that failed, with their reasons, and exit with 3, if there are any."""
    from fundus_uda.output import group_alike

    if len(failed) == 0:
        return
    typer.secho(f"{len(failed)} {told}:", err=True, fg="red")
    names = failed["image"].astype(str)
    reasons = zip(names + ": " + failed["reason"].astype(str), names, strict=True)
    for line in group_alike((text, (Path(name),)) for text, name in reasons):
        typer.echo(f"  {line}", err=True)
    raise typer.Exit(3)
