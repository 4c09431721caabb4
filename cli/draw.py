"""The command `draw` of both applications."""

from collections.abc import Callable
from pathlib import Path

import typer

from .applications import Load
from .options import Affinity, Checkpoint, DataUri, Device, Overwrite, Rows


def command(load: Load) -> Callable[..., None]:
    """Make the command for one application."""

    def draw(
        uri: DataUri,
        models: list[Path] = typer.Argument(help="Run folders or checkpoints, side by side."),
        out: Path = typer.Option(Path("results.png"), help="PNG to write."),
        rows: Rows = 4,
        affinity: Affinity = "all",
        checkpoint: Checkpoint = "last",
        overwrite: Overwrite = False,
        device: Device = "auto",
    ) -> None:
        """Draw images, ground truth, and the prediction and affinity map of each model."""
        from fundus_uda.engine.device import pick_device
        from fundus_uda.experiments.panel import View
        from fundus_uda.files import require_new

        require_new(out, overwrite)
        view = View(rows, affinity, checkpoint)
        load().draw(uri, models, out, pick_device(device), view)
        typer.echo(f"Wrote {out}.")

    return draw
