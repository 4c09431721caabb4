"""The command `demo` of both applications."""

from collections.abc import Callable
from pathlib import Path

import typer

from .applications import Load
from .options import Device, OutFolder
from .tables import print_table


def command(load: Load, folder: str) -> Callable[..., None]:
    """Make the command for one application, which writes to `folder` by default."""

    def demo(out: OutFolder = Path(folder), device: Device = "auto") -> None:
        """Train, adapt and score on images that the demo renders itself.

        This needs no data and no download, and takes a few minutes on a small CPU.
        """
        from fundus_uda.engine.device import pick_device

        application = load()
        table = application.demo(out, pick_device(device))
        print_table(table, application.as_markdown(table))
        page = out / "report.html"
        if page.is_file():
            typer.echo(f"Open {page} to look through the photographs.")
        typer.echo(f"Wrote {out}.")

    return demo
