"""The command `translate` of both applications."""

from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from .applications import Load
from .options import ANNOTATION, NO_OVERWRITE, Device


def command(load: Load, has_annotations: bool) -> Callable[..., None]:
    """Make the command for one application; --annotation is offered if `has_annotations`."""

    def translate(
        method: str = typer.Argument(
            metavar="METHOD", help="Method: fourier, histogram or cycada."
        ),
        overrides: Annotated[
            list[str] | None,
            typer.Argument(metavar="[KEY=VALUE]...", help="Settings, for example beta=0.05."),
        ] = None,
        source: str = typer.Option(
            ..., metavar="KIND:PATH[#SPLIT]", help="Labelled images to translate."
        ),
        target: str = typer.Option(
            ..., metavar="KIND:PATH[#SPLIT]", help="Images whose style they take."
        ),
        out: Path = typer.Option(
            ..., help=f"Folder: new, or with --resume the one to continue. {NO_OVERWRITE}"
        ),
        model: str | None = typer.Option(
            None, help="Source-only run or checkpoint whose predictions cycada preserves."
        ),
        config: str = typer.Option(
            "cpu", "--profile", help="cpu for small networks, paper for full ones, or a YAML file."
        ),
        annotation: str | None = typer.Option(None, help=ANNOTATION, hidden=not has_annotations),
        resume: bool = typer.Option(False, "--resume", help="Go on with what was stopped."),
        device: Device = "auto",
    ) -> None:
        """Translate labelled images into the target's style, as a dataset to train on.

        The labels are copied. METHOD is fourier or histogram, which need no training, or cycada.
        Labels of the target are never read.
        """
        from fundus_uda.engine.device import pick_device
        from fundus_uda.errors import InputError
        from fundus_uda.translation.settings import read_settings

        if annotation is not None and not has_annotations:
            raise InputError(f"Expected no --annotation here. Got: {annotation!r}.")
        settings = read_settings(method, source, target, model, config, overrides or [])
        uri = load().translate(settings, annotation, out, pick_device(device), resume)
        typer.echo(f"Wrote {out}. Train with data.source={uri}.")

    return translate
