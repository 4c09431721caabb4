"""`fundus-uda configs`."""

import typer


def command() -> None:
    """List the shipped settings, by the names that `train` takes."""
    from fundus_uda.engine.config import shipped_configs

    typer.echo("\n".join(shipped_configs("fundus")))
