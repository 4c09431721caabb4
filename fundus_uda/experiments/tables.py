"""Rows of the paper's tables, the run behind each, and what a table needs of an application."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fundus_uda.config.read import Profile

if TYPE_CHECKING:
    import pandas as pd
    import torch

    from fundus_uda.experiments.cost import Cost
    from fundus_uda.experiments.panel import View
    from fundus_uda.translation.settings import TranslationSettings


@dataclass(frozen=True)
class PaperValue:
    """Value that the paper prints."""

    text: str
    scores: dict[str, float] = field(default_factory=dict)
    """Scores of the application, by name, where the paper has them on the same task."""


@dataclass(frozen=True)
class Row:
    """One row of a table, and the run behind it."""

    title: str
    experiment: str
    """Name of the experiment, whose settings say whether the run starts from another's network."""
    overrides: tuple[str, ...] = ()
    start: str | None = None
    """Row whose network the run starts from, if its settings start from one."""
    weight: tuple[str, float] | None = None
    """Name of a weight in `adaptation`, and the factor that multiplies it."""
    translated: str | None = None
    """Method that first translates the source images into the target's style, if one does."""
    seeds: int | None = 1
    """Number of seeds; None for as many as asked for."""
    paper: PaperValue | None = None
    paper_gflops: float | None = None
    """GFLOPs of one forward pass, which the paper's Table V prints."""


@dataclass(frozen=True)
class BestOf:
    """Row without a run of its own: that of the last of its stages that is worth it.

    A stage is not, nor are those after it, if it is rejected for the one before.
    """

    title: str
    stages: tuple[str, ...]
    """Rows, each of which starts from the one before."""
    seeds: int | None = None
    paper: None = None


@dataclass(frozen=True)
class Quoted:
    """Row that the paper quotes from others: printed, not run."""

    title: str
    paper: PaperValue


Table = dict[str, Row | BestOf | Quoted]
"""Rows by name, in the paper's order; a row stands below those that it needs."""


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
    step_cost: Callable[[Any], Cost]
    step_seconds: Callable[[Any, torch.device], float]
    """Function that measures one training step."""
    compare: Callable[[list[Path]], pd.DataFrame]
    as_markdown: Callable[[pd.DataFrame], str]
    """Function that formats the table of `compare`."""
    draw: Callable[[str, list[Path], Path, torch.device, View], None]
    translate: Callable[[TranslationSettings, str | None, Path, torch.device, bool], str]
    """Function that writes the translated source, or resumes it, and returns its data URI."""
    translated_uri: Callable[[str, Path], str]
    """Function from the source's data URI and the folder of its translation to the data URI of the
    translation."""
    demo: Callable[[Path, torch.device], pd.DataFrame]
    tables: Callable[[Profile], dict[str, Table]]
    """Function from a profile to its tables by name."""
    translation_profile: Callable[[Profile], str]
    """Function from a profile to that of its image translation."""
    scores: dict[str, str]
    """Titles of the scores by name; the gap closed is that of the last one."""
    scores_of: Callable[[dict[str, Any]], dict[str, float]]
    """Function from the summary of an evaluation to its scores."""
    form: str
    """Format string of a score."""
    select_without_labels: (
        Callable[[list[Path], torch.device], tuple[Path, str, dict[str, Any]]] | None
    ) = None
    """Function from runs, each of which starts from the one before, to the last that is worth it,
    the reason to reject the next (empty for none) and the numbers behind that, without labels; None
    without a `BestOf`."""

    def full_name(self, experiment: str, profile: Profile) -> str:
        """Return a name that `read_settings` takes: with the profile, if it has no benchmark."""
        is_whole = "/" in experiment or Path(experiment).is_file()
        return experiment if is_whole else self.in_profile(experiment, profile)


def when_called(module: str, name: str) -> Callable[..., Any]:
    """Make a function that loads itself from its module when it is called.

    Modules that import torch or MONAI take seconds to load, and most commands need few of them.
    """

    def function(*arguments: Any, **options: Any) -> Any:
        return getattr(importlib.import_module(module), name)(*arguments, **options)

    return function


def adapted(title: str, experiment: str, **more: Any) -> Row:
    """Return a row that starts from the source-only network, if its settings start from one."""
    return Row(title, experiment, **{"start": "source", **more})


def in_gta5(value: float) -> PaperValue:
    """Return a value of the paper's Tables III to V where the task is another one."""
    return PaperValue(f"{value:.1f} % mIoU (GTA5)")


def complement_rows(
    named: Callable[[str], str], papers: Sequence[PaperValue | None] = (None,) * 5
) -> Table:
    """List the rows of Table III: image translation (IT) and self-training (ST) beside ASA.

    Args:
        named: function from the name of an experiment to that in the table's settings.
        papers: the paper's values of source only, ASA, ASA + IT, ASA + ST and ASA + IT + ST.
    """
    source, asa, asa_it, asa_st, asa_it_st = papers
    return {
        "source": Row("Source only", named("source"), paper=source),
        "cbst": adapted("CBST, its first round", named("cbst")),
        "asa": adapted("ASA", named("asa"), paper=asa),
        "asa_it": adapted("ASA + IT", named("asa_it"), translated="cycada", paper=asa_it),
        "asa_fda": adapted("ASA + IT by FDA", named("asa_it"), translated="fourier"),
        "asa_st": Row("ASA + ST", named("asa_st"), start="asa", paper=asa_st),
        "asa_it_st": Row("ASA + IT + ST", named("asa_st"), start="asa_it", paper=asa_it_st),
        "oracle": Row("Oracle", named("oracle")),
    }


def weight_rows(
    named: Callable[[str], str], value: Callable[[float], PaperValue] = in_gta5
) -> Table:
    """List the rows of Table IV: the profile's own weight of each method, and multiples of it.

    In the paper's profile they are the paper's weights.
    """
    return {
        "source": Row("Source only", named("source")),
        **{
            f"{method}_{times}": adapted(
                f"{method.upper()}, {times:g} lambda",
                named(method),
                weight=(term, times),
                paper=value(printed),
            )
            for method, term, papers in (
                ("asc", "regulariser_weight", (43.1, 43.5, 43.8, 43.6, 43.7)),
                ("asa", "adversarial_weight", (44.9, 45.0, 45.1, 44.7, 44.6)),
            )
            for times, printed in zip((0.2, 0.5, 1, 2, 4), papers, strict=True)
        },
        "oracle": Row("Oracle", named("oracle")),
    }


def connectivity_rows(
    named: Callable[[str], str], value: Callable[[float], PaperValue] = in_gta5
) -> Table:
    """List the rows of Table V: 4 and 8 neighbours, with the paper's GFLOPs."""
    return {
        "source": Row("Source only", named("source"), paper=value(38.1), paper_gflops=644.9),
        "adaptsegnet": adapted(
            "AdaptSegNet", named("adaptsegnet"), paper=value(41.4), paper_gflops=1087.8
        ),
        **{
            f"{method}_{neighbors}": adapted(
                f"{method.upper()}, {neighbors} neighbours",
                named(method),
                overrides=(f"affinity.neighbors={neighbors}",),
                paper=value(printed),
                paper_gflops=gflops,
            )
            for method, neighbors, printed, gflops in (
                ("asc", 4, 42.6, 1041.7),
                ("asc", 8, 43.8, 1042.3),
                ("asa", 4, 43.6, 1129.3),
                ("asa", 8, 45.1, 1167.7),
            )
        },
        "oracle": Row("Oracle", named("oracle")),
    }
