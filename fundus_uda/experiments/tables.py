"""Rows of the paper's tables, the run behind each, and what a table needs of an application."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import pandas as pd
import torch

from fundus_uda.config.read import Profile
from fundus_uda.experiments.cost import Cost
from fundus_uda.translation.settings import TranslationSettings

Dice = tuple[float, float, float]
"""Dice of cup and disc, and their mean."""


@dataclass(frozen=True)
class Row:
    """One row of a table, and the run behind it."""

    title: str
    experiment: str
    """Name of the experiment in the settings of each profile."""
    overrides: tuple[str, ...] = ()
    start: str | None = None
    """Row whose network the run starts from."""
    updates_on_cpu: int | None = None
    """Number of updates in the CPU profile; None for as many as its settings say."""
    weight: tuple[str, float] | None = None
    """Name of a weight in `adaptation`, and the factor that multiplies it."""
    translated: bool = False
    """Whether CyCADA first translates the source images into the target's style."""
    seeds: int | None = 1
    """Number of seeds; None for as many as asked for."""
    paper: Dice | float | None = None
    """Value in the paper: Dice on REFUGE to RIM-ONE-r3 (Table VII), or mIoU in percent on GTA5 to
    Cityscapes (Tables III to V)."""


@dataclass(frozen=True)
class BestOf:
    """Row without a run of its own: that of `second` if it is worth it, else that of `first`."""

    title: str
    first: str
    second: str
    seeds: int | None = None
    paper: None = None


@dataclass(frozen=True)
class Application:
    """Record of an application, for the shared commands and tables.

    Its settings have a section `data`.
    """

    group: str
    """Folder of its settings in `configs`."""
    has_annotations: bool
    """Whether its labels may have several authors."""
    in_profile: Callable[[str, Profile], str]
    """Function from an experiment to its name in a profile."""
    read_settings: Callable[[str, list[str]], Any]
    train: Callable[[Any, Path, torch.device, bool], dict[str, Any]]
    step_cost: Callable[[Any, torch.device], Cost]
    compare: Callable[[list[Path]], pd.DataFrame]
    as_markdown: Callable[[pd.DataFrame], str]
    """Function that formats the table of `compare`."""
    draw: Callable[[str, list[Path], Path, torch.device, int, Literal["all", "diagonal"]], None]
    translate: Callable[[TranslationSettings, str | None, Path, torch.device, bool], str]
    """Function that writes the translated source, or resumes it, and returns its data URI."""
    translated_uri: Callable[[str, Path], str]
    """Function from the source's data URI and the folder of its translation to the data URI of the
    translation."""
    demo: Callable[[Path, torch.device], pd.DataFrame]
    tables: dict[str, dict[str, Row | BestOf]]
    scores: dict[str, str]
    """Titles of the scores by name; the gap closed is that of the last one."""
    scores_of: Callable[[dict[str, Any]], dict[str, float]]
    """Function from the summary of an evaluation to its scores."""
    form: str
    """Format string of a score."""
    axis: str
    """Axis label of the last score."""
    comparable: type[tuple[Any, ...]] | type[float]
    """Type of the paper's values that measure the same score."""
    comparable_on: str
    """Domains of those values."""
    select_without_labels: (
        Callable[[Path, Path, torch.device], tuple[str, dict[str, Any]]] | None
    ) = None
    """Function from a run and a second one that starts from it to the reason to reject the second
    (empty if it is worth it) and the numbers behind that, without labels; None without a
    `BestOf`."""


def adapted(title: str, experiment: str, overrides: tuple[str, ...] = (), **more: Any) -> Row:
    """Return a row that starts from the source-only network, as the released code does."""
    return Row(title, experiment, overrides, **{"start": "source", "updates_on_cpu": 100, **more})


SOURCE = Row("Source only", "source", seeds=None, paper=(0.751, 0.793, 0.772))
ORACLE = Row("Oracle", "oracle", seeds=None, paper=(0.856, 0.968, 0.914))
ENDS = {
    "source": replace(SOURCE, seeds=1, paper=38.1),
    "oracle": replace(ORACLE, seeds=1, paper=None),
}
"""Source-only and oracle rows of Tables III to V."""
# As in the paper, a tenth of the weight: less is left to align after the translation.
ASA_IT = adapted("ASA + IT", "asa", weight=("adversarial_weight", 0.1), translated=True)
ASA_ST = adapted("ASA + ST", "self_training", start="asa")
ASA_IT_ST = adapted("ASA + IT + ST", "self_training", start="asa_it")

TABLES: dict[str, dict[str, Row | BestOf]] = {
    "table3": {
        "source": ENDS["source"],
        "asa": adapted("ASA", "asa", paper=45.1),
        "asa_it": replace(ASA_IT, paper=45.6),
        "asa_st": replace(ASA_ST, paper=48.1),
        "asa_it_st": replace(ASA_IT_ST, paper=49.1),
        "oracle": ENDS["oracle"],
    },
    "table4": {
        "source": ENDS["source"],
        **{
            f"{method}_{times}": adapted(
                f"{method.upper()}, {times:g} lambda", method, weight=(term, times), paper=paper
            )
            for method, term, papers in (
                ("asc", "regulariser_weight", (43.1, 43.5, 43.8, 43.6, 43.7)),
                ("asa", "adversarial_weight", (44.9, 45.0, 45.1, 44.7, 44.6)),
            )
            for times, paper in zip((0.2, 0.5, 1, 2, 4), papers, strict=True)
        },
        "oracle": ENDS["oracle"],
    },
    "table5": {
        "source": ENDS["source"],
        "adaptsegnet": adapted("AdaptSegNet", "adaptsegnet", paper=41.4),
        **{
            f"{method}_{neighbors}": adapted(
                f"{method.upper()}, {neighbors} neighbours",
                method,
                (f"affinity.neighbors={neighbors}",),
                paper=paper,
            )
            for method, papers in (("asc", (42.6, 43.8)), ("asa", (43.6, 45.1)))
            for neighbors, paper in zip((4, 8), papers, strict=True)
        },
        "oracle": ENDS["oracle"],
    },
}
"""Tables III to V of the paper, for every application although the paper has road scenes there.

Table IV multiplies the profile's own weight, which gives the paper's values in the paper's profile.
"""
COSTED = "table5"
"""Table that also has the cost of a step."""
