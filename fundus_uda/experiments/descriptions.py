"""Descriptions of the shipped experiments: method, data and length."""

from typing import Any

from fundus_uda.config.read import shipped_experiments
from fundus_uda.engine.methods import METHODS
from fundus_uda.experiments.tables import Application


def describe_experiments(application: Application) -> list[dict[str, Any]]:
    """Describe the shipped experiments of an application, a row each.

    Returns:
        Rows of experiment (the name that `train` takes), method (its title), data (the folders of
        source and target), network, steps and batch.
    """
    rows = []
    for name in shipped_experiments(application.group):
        settings = application.read_settings(name, [])
        network = settings.network
        rows.append(
            {
                "experiment": name,
                "method": METHODS[settings.method].title,
                "data": f"{_last(settings.data.source)} -> {_last(settings.data.target)}",
                "network": getattr(network, "encoder", None) or network.backbone,
                "steps": settings.steps,
                "batch": settings.batch_size,
            }
        )
    return rows


def _last(uri: str | None) -> str:
    """Return the last part of a data URI's path, which is the name of its data."""
    return "none" if uri is None else uri.partition("#")[0].replace(":", "/").split("/")[-1]
