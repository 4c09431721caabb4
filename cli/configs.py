"""The command `configs` of both applications."""

from collections.abc import Callable

import typer

from .applications import Load
from .options import experiments_of
from .tables import print_rows


def command(load: Load, group: str) -> Callable[..., None]:
    """Make the command for one application, whose settings are in `group`."""

    def configs(
        name: str | None = typer.Argument(
            None,
            metavar="[EXPERIMENT]",
            help="Experiment or YAML file whose settings are all shown, with defaults, as YAML.",
            autocompletion=experiments_of(group),
        ),
    ) -> None:
        """List the shipped experiments by the names that `train` takes, or show one."""
        from fundus_uda.config.read import unset_variables_kept
        from fundus_uda.config.yaml_text import as_yaml
        from fundus_uda.experiments.descriptions import describe_experiments

        application = load()
        with unset_variables_kept():
            if name is None:
                rows = describe_experiments(application)
                print_rows(rows[0], (row.values() for row in rows))
                return
            settings = application.read_settings(application.full_name(name, "cpu"), [])
        typer.echo(as_yaml(settings.model_dump(mode="json")), nl=False)

    return configs
