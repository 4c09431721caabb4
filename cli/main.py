"""The command `fundus-uda`."""

import typer

from cli import (
    adapt,
    compare,
    configs,
    crop,
    demo,
    draw,
    evaluate,
    inspect,
    measure,
    predict,
    report,
    reproduce,
    train,
    translate,
)
from cli.failures import run_app
from fundus_uda import __version__

app = typer.Typer(
    name="fundus-uda",
    help="Optic disc and cup segmentation on another camera's photographs, without target "
    "labels.\n\nExit codes: 0 done, 1 the work failed, 2 wrong usage or input, 3 done but for some "
    "images.\n\n"
    "For research. Not a medical device.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
for command in (
    demo,
    adapt,
    inspect,
    crop,
    translate,
    train,
    evaluate,
    predict,
    report,
    measure,
    compare,
    draw,
    reproduce,
    configs,
):
    app.command(name=command.__name__.rpartition(".")[2])(command.command)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(__version__)
        raise typer.Exit


@app.callback()
def _options(
    version: bool = typer.Option(
        False, "--version", callback=_print_version, is_eager=True, help="Print the version."
    ),
) -> None:
    pass


def run() -> None:
    """Entry point."""
    run_app(app)
