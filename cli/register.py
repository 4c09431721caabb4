"""Registration of commands: their example, and what to say when one is interrupted."""

import functools
import inspect
from collections.abc import Callable

import typer

RESUMES = "Go on with the same command and --resume."
GOES_ON = "Go on with the same command."
STARTS_ANEW = "Nothing goes on from there: start again with a new --out, or remove this one."
AFTER_A_STOP = {
    "adapt": RESUMES,
    "train": RESUMES,
    "translate": "Go on with the same command and --resume (cycada), or with a new --out.",
    "reproduce": GOES_ON,
    "crop": STARTS_ANEW,
    "demo": STARTS_ANEW,
    "evaluate": STARTS_ANEW,
    "predict": GOES_ON,
}
"""Ways to go on after Ctrl-C, of the commands that leave something."""

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
        app.command(name=name, epilog=epilog, short_help=sentence)(
            _stoppable(command, AFTER_A_STOP.get(name, ""))
        )


def _stoppable(command: Command, how: str) -> Command:
    """Let a command that is interrupted say how to go on, and end with exit code 130."""

    @functools.wraps(command)
    def stoppable(*arguments: object, **options: object) -> None:
        try:
            command(*arguments, **options)
        except KeyboardInterrupt:
            typer.secho(f"Stopped. {how}".strip(), err=True, fg="red")
            raise typer.Exit(130) from None

    return stoppable
