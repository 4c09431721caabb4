"""The table of adaptation methods.

Methods differ in three places: the discriminator's input, the regulariser on the prediction, and
the teacher that gives the target pseudo-labels. (AdaBN has none of them.) A new method is a new
row and, at most, a new function in `affinity.baselines`.

The functions load the core when they are called: settings are read and listed without torch.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from fundus_uda.engine.settings import AffinitySettings, MethodName
from fundus_uda.errors import InputError

if TYPE_CHECKING:
    from torch import Tensor

SMALLEST_MAP = 32
"""That of `affinity.discriminator`, which would import torch to read settings."""

MapOfPrediction = Callable[["Tensor", AffinitySettings], "Tensor"]


@dataclass(frozen=True)
class Method:
    """One row of the table. Both functions take probabilities (B, C, H, W)."""

    title: str
    """Name as the paper's tables print it."""
    discriminator_input: MapOfPrediction | None = None
    """Map (B, K, H, W) whose distribution is aligned between the domains."""
    regulariser: MapOfPrediction | None = None
    """Scalar that is minimised on the target."""
    regularises_source: bool = False
    """Whether the regulariser also acts on the source (Eq. 3)."""
    teacher: Literal["frozen", "mean"] | None = None
    """Network that gives the target pseudo-labels: the one that the run starts from, frozen or
    updated as the running mean (EMA) of the segmenter."""
    without_source: bool = False
    """Whether source images are left out even if there are some."""
    class_balanced: bool = False
    """Whether pseudo-labels are chosen by thresholds of each class over the whole target."""
    statistics_only: bool = False
    """Whether the target changes only the running statistics of batch normalisation."""

    @property
    def adapts(self) -> bool:
        """Return whether the method uses target images at all."""
        return bool(
            self.discriminator_input or self.regulariser or self.teacher or self.statistics_only
        )

    @property
    def needs_source(self) -> bool:
        """Return whether the method has nothing to learn or align with without source images."""
        return not self.adapts or self.discriminator_input is not None


def _probabilities(prob: "Tensor", _: AffinitySettings) -> "Tensor":
    return prob


def _self_information(prob: "Tensor", _: AffinitySettings) -> "Tensor":
    from fundus_uda.affinity import self_information

    return self_information(prob)


def _affinity_space(prob: "Tensor", affinity: AffinitySettings) -> "Tensor":
    from fundus_uda.affinity import affinity_space

    return affinity_space(prob, affinity.neighbors, affinity.measure)


def _affinity_cleaning(prob: "Tensor", affinity: AffinitySettings) -> "Tensor":
    from fundus_uda.affinity import affinity_cleaning_loss

    return affinity_cleaning_loss(prob, affinity.neighbors, affinity.similarity, affinity.reduction)


def _entropy(prob: "Tensor", _: AffinitySettings) -> "Tensor":
    from fundus_uda.affinity import entropy_loss

    return entropy_loss(prob)


def _maximum_squares(prob: "Tensor", _: AffinitySettings) -> "Tensor":
    from fundus_uda.affinity import maximum_squares_loss

    return maximum_squares_loss(prob)


METHODS: dict[MethodName, Method] = {
    "source": Method("Source only"),
    "oracle": Method("Oracle"),  # its labelled "source" is the target
    "adaptsegnet": Method("AdaptSegNet", discriminator_input=_probabilities),
    "advent": Method("ADVENT", discriminator_input=_self_information),
    "minent": Method("MinEnt", regulariser=_entropy),
    "maxsquare": Method("MaxSquare", regulariser=_maximum_squares),
    "asc": Method("ASC", regulariser=_affinity_cleaning, regularises_source=True),
    "asa": Method("ASA", discriminator_input=_affinity_space),
    "asa_asc": Method(
        "ASA + ASC",
        discriminator_input=_affinity_space,
        regulariser=_affinity_cleaning,
        regularises_source=True,
    ),
    "self_training": Method("ST", teacher="frozen", without_source=True),
    "cbst": Method("CBST", teacher="frozen", class_balanced=True),  # Zou et al., ECCV 2018
    "adabn": Method("AdaBN", without_source=True, statistics_only=True),  # Li et al., 2018
    "mean_teacher": Method("Mean teacher", teacher="mean"),
}


def map_to_discriminate(method: Method, prob: "Tensor", affinity: AffinitySettings) -> "Tensor":
    """Compute the map that the discriminators compare.

    Args:
        method: method that has discriminators.
        prob: (B, C, H, W) probabilities.
        affinity: settings of the affinity; probabilities are averaged over its stride first.

    Returns:
        (B, K, H / stride, W / stride).
    """
    from torch.nn import functional as F

    assert method.discriminator_input is not None
    if affinity.stride > 1:
        prob = F.avg_pool2d(prob, affinity.stride)
    return method.discriminator_input(prob, affinity)


def require_map_to_discriminate(
    name: MethodName, affinity: AffinitySettings, setting: str, *sides: int
) -> None:
    """Check that images are large enough for the discriminators, if the method has some.

    Args:
        name: method of the run.
        affinity: its settings of the affinity.
        setting: name of the setting that gives the sides, for the error.
        sides: heights and widths of the images in pixels.

    Raises:
        ValueError: a side is too small, for a validator of settings.
    """
    least = SMALLEST_MAP * affinity.stride
    if METHODS[name].discriminator_input is not None and min(sides) < least:
        raise ValueError(
            f"{setting} must be at least {least} with affinity.stride={affinity.stride}, as "
            f"discriminators halve their map five times"
        )


def require_start(name: MethodName, start: str | None, source: str | None) -> None:
    """Check that a run names a network to start from, if it cannot begin with an untrained one.

    Args:
        name: method of the run.
        start: run folder or checkpoint; None for none.
        source: data URI of the source; None without any source image.

    Raises:
        ValueError: `start` is not set, for a validator of settings.
    """
    method = METHODS[name]
    learns_labels = method.teacher is None and not method.without_source and source is not None
    if start is None and method.adapts and not learns_labels:
        raise ValueError(
            f"start must name a run folder or a checkpoint with method {name}"
            + (" and no source images" if source is None else "")
        )


def training_domains(
    name: MethodName, source: str | None, target: str | None
) -> tuple[str | None, str | None]:
    """Return the data of a run: those with labels, and those whose images alone it uses.

    Args:
        name: method of the run.
        source: data URI of the source.
        target: data URI of the target.

    Returns:
        Data URIs (labelled, unlabelled); None for none. The oracle's labelled data are the
        target's.

    Raises:
        InputError: the method needs a target, and there is none.
    """
    method = METHODS[name]
    if target is None and (method.adapts or name == "oracle"):
        raise InputError(f"Expected data.target for the method {name}. Got: none.")
    if name == "oracle":
        return target, None
    return None if method.without_source else source, target if method.adapts else None
