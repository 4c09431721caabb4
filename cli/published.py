"""Options for reading a checkpoint of another project."""

from typing import TYPE_CHECKING, Annotated

import typer

from fundus_uda.errors import InputError

if TYPE_CHECKING:
    from roadscene.settings import RoadSettings

Published = Annotated[
    str | None,
    typer.Option(
        "--published",
        metavar="EXPERIMENT",
        help="Settings with which to read MODEL, a checkpoint of another project.",
    ),
]
PublishedOverrides = Annotated[
    list[str] | None,
    typer.Option(
        "--set", metavar="KEY=VALUE", help="Setting of --published, for example preset=released."
    ),
]


def published_settings(
    experiment: str | None, overrides: list[str] | None
) -> "RoadSettings | None":
    """Read the settings of a published checkpoint; None for a run of this program.

    Raises:
        InputError: overrides without an experiment, or see `read_settings`.
    """
    from roadscene.settings import read_settings

    if experiment is None and overrides:
        raise InputError(
            f"Expected --published EXPERIMENT with --set. Got: --set {overrides[0]} alone; a run "
            f"of this program has its own settings."
        )
    return read_settings(experiment, overrides or []) if experiment else None
