"""Registration of commands: their example, and what to say when one is stopped."""

import functools
import inspect
import signal
from collections.abc import Callable
from contextlib import nullcontext

import typer

from fundus_uda.stops import reacting, stop

from .options import Quiet

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
SHOWING_PROGRESS = {*AFTER_A_STOP, "dicom"}

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
        told = _silenceable(command) if name in SHOWING_PROGRESS else command
        app.command(name=name, epilog=epilog, short_help=sentence)(
            _stoppable(told, AFTER_A_STOP.get(name, ""))
        )


def _silenceable(command: Command) -> Command:
    """Add the option `--quiet` to a command that shows progress."""

    @functools.wraps(command)
    def silenceable(*arguments: object, quiet: bool = False, **options: object) -> None:
        from fundus_uda.output import quietly

        with quietly() if quiet else nullcontext():
            command(*arguments, **options)

    signature = inspect.signature(command)
    keyword = inspect.Parameter.KEYWORD_ONLY
    quiet = inspect.Parameter("quiet", keyword, default=False, annotation=Quiet)
    parameters = [*signature.parameters.values(), quiet]
    silenceable.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]
    silenceable.__annotations__ = {**command.__annotations__, "quiet": Quiet}
    return silenceable


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
