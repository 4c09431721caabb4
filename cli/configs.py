"""The command `configs` of both applications."""

from collections.abc import Callable

import typer


def command(group: str) -> Callable[[], None]:
    """Make the command for the settings of one application."""

    def configs() -> None:
        """List the shipped experiments by the names that `train` takes."""
        from fundus_uda.config.read import shipped_experiments

        typer.echo("\n".join(shipped_experiments(group)))

    return configs
