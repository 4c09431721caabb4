"""How commands end: 0 done, 1 the work failed, 2 wrong usage or input, 3 done in part."""

import sys

import typer

from fundus_uda.engine.errors import InputError, WorkError


def run_app(app: typer.Typer) -> None:
    """Run a command line; say what a user can mend, without a traceback.

    Anything unforeseen keeps its traceback: it is a fault of the program.
    """
    try:
        app()
    except InputError as error:
        typer.secho(f"Error: {error}", err=True, fg="red")
        sys.exit(2)
    except OSError as error:
        if error.filename is None:
            raise
        typer.secho(f"Error: {error.strerror}: {error.filename}", err=True, fg="red")
        sys.exit(2)
    except WorkError as error:
        typer.secho(f"Failed: {error}", err=True, fg="red")
        sys.exit(1)
