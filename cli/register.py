"""Registration of commands: their example, and what to say when one is stopped."""

import functools
import inspect
import platform
import signal
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from importlib import metadata
from typing import Any

import typer

from fundus_uda.stops import reacting, stop

from .options import Json, Quiet, Verbose
from .tables import as_json

RESUMES = "Go on with the same command and --resume."
GOES_ON = "Go on with the same command."
STARTS_ANEW = "Nothing goes on from there: start again with a new --out, or remove this one."
AFTER_A_STOP = {
    "adapt": RESUMES,
    "train": RESUMES,
    "translate": RESUMES,
    "reproduce": GOES_ON,
    "crop": GOES_ON,
    "demo": STARTS_ANEW,
    "evaluate": STARTS_ANEW,
    "predict": GOES_ON,
    "render": STARTS_ANEW,
}
"""Ways to go on after a stop, of the commands that leave something."""
SHOWING_PROGRESS = {*AFTER_A_STOP, "dicom", "outlines", "suggest"}

PRINTING_TABLES = {
    "adapt", "columns", "compare", "configs", "demo", "doctor", "evaluate", "reproduce", "suggest",
    "train",
}  # fmt: skip
"""Commands that print a table, which `--json` prints for other programs."""

Command = Callable[..., None]


def register(app: typer.Typer, commands: dict[str, tuple[Command, str]]) -> None:
    """Add commands to an application.

    Args:
        app: application to add to.
        commands: function and example, by name.
    """
    for name, (command, example) in commands.items():
        epilog = f"Example:\n\n\b\n{app.info.name} {name} {example}"
        sentence = " ".join((inspect.getdoc(command) or "").split("\n\n")[0].split())
        told = command
        if name in SHOWING_PROGRESS:
            told = _with_switch(told, "quiet", Quiet, _quietly)
            told = _with_switch(told, "verbose", Verbose, _verbosely)
        if name in PRINTING_TABLES:
            told = _with_switch(told, "json", Json, as_json)
        app.command(name=name, epilog=epilog, short_help=sentence)(
            _stoppable(told, AFTER_A_STOP.get(name, ""))
        )


def _with_switch(
    command: Command, name: str, annotation: Any, inside: Callable[[], AbstractContextManager[None]]
) -> Command:
    """Add a switch to a command, with which it runs inside a context."""

    @functools.wraps(command)
    def switched(*arguments: object, **options: object) -> None:
        with inside() if options.pop(name) else nullcontext():
            command(*arguments, **options)

    signature = inspect.signature(command)
    keyword = inspect.Parameter.KEYWORD_ONLY
    switch = inspect.Parameter(name, keyword, default=False, annotation=annotation)
    parameters = [*signature.parameters.values(), switch]
    switched.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]
    switched.__annotations__ = {**command.__annotations__, name: annotation}
    return switched


def _quietly() -> AbstractContextManager[None]:
    from fundus_uda.output import quietly, tells_details

    if tells_details():
        raise typer.BadParameter("Expected --quiet or --verbose. Got: both.")
    return quietly()


@contextmanager
def _verbosely() -> Iterator[None]:
    from fundus_uda.output import detail, verbosely

    with verbosely():
        versions = ", ".join(f"{name} {metadata.version(name)}" for name in ("fundus-uda", "torch"))
        detail(f"{versions}, Python {platform.python_version()}, {platform.platform()}.")
        yield


def _stoppable(command: Command, how: str) -> Command:
    """Let a command that a signal stops say how to go on, and end with 128 + the signal's number.

    That is the exit code of a shell for a command that a signal killed.
    """

    @functools.wraps(command)
    def stoppable(*arguments: object, **options: object) -> None:
        try:
            with reacting(stop):
                command(*arguments, **options)
        except KeyboardInterrupt as error:
            number = getattr(error, "number", signal.SIGINT)
            typer.secho(f"Stopped. {how}".strip(), err=True, fg="red")
            raise typer.Exit(128 + number) from None

    return stoppable
