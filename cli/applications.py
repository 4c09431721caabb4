"""The two applications, loaded when a command needs them, since they import torch and MONAI."""

from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fundus_uda.experiments.tables import Application

Load = Callable[[], "Application"]


def load_fundus() -> "Application":
    """Load the application of optic disc and cup."""
    from fundus_uda.application import FUNDUS

    return FUNDUS


def load_roadscene() -> "Application":
    """Load the application of street scenes."""
    from roadscene.application import ROADSCENE

    return ROADSCENE
