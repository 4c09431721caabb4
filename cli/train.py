"""The command `train` of both applications."""

from collections.abc import Callable
from pathlib import Path

import typer

from .applications import Load
from .options import NO_OVERWRITE, Device, Overrides, Profile, experiments_of
from .tables import print_table


def command(load: Load, group: str) -> Callable[..., None]:
    """Make the command for one application, whose settings are in `group`."""

    def train(
        config: str = typer.Argument(
            metavar="EXPERIMENT",
            help="Experiment that `configs` lists, or a YAML file. Without the part before the /, "
            "--profile chooses it.",
            autocompletion=experiments_of(group),
        ),
        overrides: Overrides = None,
        out: Path = typer.Option(
            ..., help=f"Run folder: new, or with --resume the one to continue. {NO_OVERWRITE}"
        ),
        resume: bool = typer.Option(False, "--resume", help="Continue from the last checkpoint."),
        profile: Profile = "cpu",
        device: Device = "auto",
    ) -> None:
        """Train one method into a run folder, and score it if data.test is set.

        An interrupted and resumed run equals an unbroken one bit for bit.
        """
        application = load()
        name = application.full_name(config, profile)
        settings = application.read_settings(name, overrides or [])
        from fundus_uda.engine import distributed
        from fundus_uda.engine.device import pick_device

        picked = pick_device(device)
        with distributed.joined(picked):
            # torchrun begins a restarted process with the command line of the first.
            resume = resume or (distributed.is_restarted() and out.exists())
            if application.train(settings, out, picked, resume):
                table = application.compare([out])
                print_table(table, application.as_markdown(table))
            if distributed.rank() == 0:
                typer.echo(f"Wrote {out}.")

    return train
