"""The table of adaptation methods.

They differ in three places: the map that the discriminator sees, the regulariser on the
prediction, and the teacher whose pseudo-labels the target gets. (AdaBN has none of them.) A new
method is a new row and, at most, a new function in `affinity.compared`.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from torch import Tensor

from fundus_uda.affinity import (
    affinity_cleaning_loss,
    affinity_space,
    entropy_loss,
    maximum_squares_loss,
    self_information,
)
from fundus_uda.engine.config import AffinitySettings, MethodName

MapOfPrediction = Callable[[Tensor, AffinitySettings], Tensor]


@dataclass(frozen=True)
class Method:
    """One row: both functions take probabilities (B, C, H, W)."""

    title: str
    """As the paper's tables print it."""
    discriminator_sees: MapOfPrediction | None = None
    """The map (B, K, H, W) whose distribution is aligned between the domains."""
    regulariser: MapOfPrediction | None = None
    """A scalar, minimised on the target."""
    regularises_source: bool = False
    """Whether the regulariser also acts on the source (Eq. 3)."""
    teacher: Literal["frozen", "mean"] | None = None
    """Who labels the target: the network that the run starts from, as it is or as a running mean
    of the segmenter."""
    without_source: bool = False
    """Whether the source images are left out even where there are some."""
    statistics_only: bool = False
    """Whether the target changes nothing but the running statistics of batch normalisation."""

    @property
    def adapts(self) -> bool:
        """Whether the method looks at target images at all."""
        return bool(
            self.discriminator_sees or self.regulariser or self.teacher or self.statistics_only
        )

    @property
    def needs_source(self) -> bool:
        """Whether it has nothing to learn, or nothing to align with, without source images."""
        return not self.adapts or self.discriminator_sees is not None


def _probabilities(prob: Tensor, _: AffinitySettings) -> Tensor:
    return prob


def _self_information(prob: Tensor, _: AffinitySettings) -> Tensor:
    return self_information(prob)


def _affinity_space(prob: Tensor, affinity: AffinitySettings) -> Tensor:
    return affinity_space(prob, affinity.neighbors, affinity.measure)


def _affinity_cleaning(prob: Tensor, affinity: AffinitySettings) -> Tensor:
    return affinity_cleaning_loss(prob, affinity.neighbors, affinity.similarity, affinity.reduction)


def _entropy(prob: Tensor, _: AffinitySettings) -> Tensor:
    return entropy_loss(prob)


def _maximum_squares(prob: Tensor, _: AffinitySettings) -> Tensor:
    return maximum_squares_loss(prob)


METHODS: dict[MethodName, Method] = {
    "source": Method("Source only"),
    "oracle": Method("Oracle"),  # its labelled "source" is the target
    "adaptsegnet": Method("AdaptSegNet", discriminator_sees=_probabilities),
    "advent": Method("ADVENT", discriminator_sees=_self_information),
    "minent": Method("MinEnt", regulariser=_entropy),
    "maxsquare": Method("MaxSquare", regulariser=_maximum_squares),
    "asc": Method("ASC", regulariser=_affinity_cleaning, regularises_source=True),
    "asa": Method("ASA", discriminator_sees=_affinity_space),
    "asa_asc": Method(
        "ASA + ASC",
        discriminator_sees=_affinity_space,
        regulariser=_affinity_cleaning,
        regularises_source=True,
    ),
    "self_training": Method("ST", teacher="frozen", without_source=True),
    "adabn": Method("AdaBN", without_source=True, statistics_only=True),  # Li et al., 2018
    "mean_teacher": Method("Mean teacher", teacher="mean"),
}
