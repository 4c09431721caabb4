"""`fundus-uda translate`."""

from pathlib import Path

import typer

from cli.options import (
    Annotation,
    Device,
    TranslationConfig,
    TranslationMethod,
    TranslationModel,
    TranslationOverrides,
)


def command(
    method: TranslationMethod,
    overrides: TranslationOverrides = None,
    source: str = typer.Option(..., metavar="KIND:PATH[#SPLIT]", help="Labelled photographs."),
    target: str = typer.Option(..., metavar="KIND:PATH[#SPLIT]", help="Whose style they take."),
    out: Path = typer.Option(..., help="Folder: new, or with --resume that of the run."),
    model: TranslationModel = None,
    config: TranslationConfig = None,
    annotation: Annotation = None,
    resume: bool = typer.Option(False, "--resume", help="Continue the training of cycada."),
    device: Device = "auto",
) -> None:
    """Source photographs in the target's style, with their own masks, as a folder to train on.

    METHOD is fourier or histogram, which need no training, or cycada. Masks of the target are
    never read.
    """
    from fundus_uda.engine.device import pick_device
    from fundus_uda.translated_source import write_translated_source
    from fundus_uda.translation.settings import read_settings

    settings = read_settings(method, source, target, model, config, overrides or [])
    address = write_translated_source(settings, annotation, out, pick_device(device), resume)
    typer.echo(f"Wrote {out}. Train with data.source={address}.")
