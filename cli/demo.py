"""`fundus-uda demo`."""

from pathlib import Path

import typer

from cli.options import Device, OutFolder


def command(out: OutFolder = Path("demo"), device: Device = "auto") -> None:
    """Embedded photographs of two cameras: train source-only, then ASA, and score both.

    Needs no data and no download; a few minutes on a small CPU.
    """
    from fundus_uda.comparison import as_markdown
    from fundus_uda.demo import run_demo
    from fundus_uda.engine.device import pick_device

    table = run_demo(out, pick_device(device))
    typer.echo(as_markdown(table))
    typer.echo(f"Open {out / 'report.html'} to look through the photographs; all else is in {out}.")
