"""The rows of the paper's tables, and the run behind each; for both applications.

In Tables III to V, of the paper's road scenes, the settings of a row are named after its method.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from fundus_uda.engine.config import Profile
from fundus_uda.engine.cost import Cost
from fundus_uda.translation.settings import TranslationSettings

Dice = tuple[float, float, float]
"""Cup, disc and their mean."""


@dataclass(frozen=True)
class Row:
    """One row of a table, and the run behind it."""

    title: str
    config: str
    """Name of the shipped settings, without the profile's ending."""
    overrides: tuple[str, ...] = ()
    start: str | None = None
    """The row whose network the run starts from."""
    updates_on_cpu: int | None = None
    """Of the CPU profile; None for as many as its settings say."""
    weight: tuple[str, float] | None = None
    """A weight of `adaptation`, and what it is multiplied by."""
    translated: bool = False
    """The source images are first brought into the target's style by CyCADA."""
    seeds: int | None = 1
    """How many; None for as many as asked for."""
    paper: Dice | float | None = None
    """What the paper has: Dice on REFUGE to RIM-ONE-r3 (Table VII), or mIoU in per cent on GTA5 to
    Cityscapes (Tables III to V)."""


@dataclass(frozen=True)
class Choice:
    """A row without a run of its own: that of `second` where it is worth it, else of `first`."""

    title: str
    first: str
    second: str
    seeds: int | None = None
    paper: None = None


@dataclass(frozen=True)
class Application:
    """What the tables need to know of an application. Its settings have a part `data`."""

    tables: dict[str, dict[str, Row | Choice]]
    scores: dict[str, str]
    """Titles of the columns that an evaluation gives; gaps are closed in the last of them."""
    form: str
    """How a score is printed."""
    axis: str
    """What the last of the scores is."""
    comparable: type[tuple[Any, ...]] | type[float]
    """The type of those of the paper's values that are of the same score."""
    comparable_on: str
    """The domains of those."""
    read_settings: Callable[[str, Profile, list[str]], Any]
    """Of a row's config, with overrides."""
    scores_of: Callable[[dict[str, Any]], dict[str, float]]
    """From the summary of an evaluation."""
    train: Callable[[Any, Path, torch.device, bool], Any]
    step_cost: Callable[[Any, torch.device], Cost]
    translate: Callable[[TranslationSettings, Any, Path, torch.device, bool], None]
    """Write the translated source of a run into a folder, or go on with it."""
    translated: Callable[[Any, Path], list[str]]
    """The overrides of a run that make the translated source in a folder its source."""
    weigh: Callable[[Path, Path, torch.device], tuple[str, dict[str, Any]]] | None = None
    """Of a run and a second that goes on from it: what speaks against the second (empty where it is
    worth it), and the figures behind that, without labels; None without a `Choice`."""


def _adapted(title: str, config: str, overrides: tuple[str, ...] = (), **more: Any) -> Row:
    """A row that goes on from the source-only network, as the authors' released code does."""
    return Row(title, config, overrides, **{"start": "source", "updates_on_cpu": 100, **more})


SOURCE = Row("Source only", "source", seeds=None, paper=(0.751, 0.793, 0.772))
ORACLE = Row("Oracle", "oracle", seeds=None, paper=(0.856, 0.968, 0.914))
ENDS = {
    "source": replace(SOURCE, seeds=1, paper=38.1),
    "oracle": replace(ORACLE, seeds=1, paper=None),
}
"""Of Tables III to V."""
# A tenth of the weight, as in the paper: after translation, less is left to align.
ASA_IT = _adapted("ASA + IT", "asa", weight=("adversarial_weight", 0.1), translated=True)
ASA_ST = _adapted("ASA + ST", "self_training", start="asa")
ASA_IT_ST = _adapted("ASA + IT + ST", "self_training", start="asa_it")

TABLES: dict[str, dict[str, Row | Choice]] = {
    "table7": {
        "source": SOURCE,
        "source_longer": _adapted("Source only, as many updates as adapted", "source"),
        "adaptsegnet": _adapted("AdaptSegNet", "adaptsegnet", paper=(0.775, 0.893, 0.834)),
        "advent": _adapted("ADVENT", "advent"),
        "asc": _adapted("ASC", "asc"),
        "asa": _adapted("ASA", "asa", seeds=None, paper=(0.806, 0.900, 0.853)),
        "asa_source_statistics": _adapted(
            "ASA, statistics of the source", "asa", ("adaptation.statistics=source",)
        ),
        "asa_st": ASA_ST,
        "asa_it": ASA_IT,
        "asa_it_st": ASA_IT_ST,
        "recipe_source": Row("Default recipe, first stage", "strong_source", seeds=None),
        "recipe_teacher": Row(
            "Default recipe, second stage", "mean_teacher", start="recipe_source", seeds=None
        ),
        "recipe": Choice("Default recipe", "recipe_source", "recipe_teacher"),
        "oracle": ORACLE,
    },
    "table3": {
        "source": ENDS["source"],
        "asa": _adapted("ASA", "asa", paper=45.1),
        "asa_it": replace(ASA_IT, paper=45.6),
        "asa_st": replace(ASA_ST, paper=48.1),
        "asa_it_st": replace(ASA_IT_ST, paper=49.1),
        "oracle": ENDS["oracle"],
    },
    "table4": {
        "source": ENDS["source"],
        **{
            f"{method}_{times}": _adapted(
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
        "adaptsegnet": _adapted("AdaptSegNet", "adaptsegnet", paper=41.4),
        **{
            f"{method}_{neighbors}": _adapted(
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
"""By the number of the paper's table. Table IV multiplies the profile's own weight, which in the
paper's profile gives the paper's values."""
COSTED = "table5"
"""This table also has what a step costs."""
