"""Settings of a fundus run."""

from typing import Literal

from pydantic import Field, model_validator

from fundus_uda.config.read import Settings, load_settings
from fundus_uda.engine.methods import METHODS, require_map_to_discriminate, require_start
from fundus_uda.engine.settings import DeepLabV3PlusSettings, EngineSettings


class DataSettings(Settings):
    """Data of a run. Data URIs are `KIND:PATH` or `KIND:PATH#SPLIT` (see `data.datasets`)."""

    source: str | None
    """Data URI of labelled photographs. The methods `oracle`, which trains on the target's labels,
    and `self_training` do not read it. Null adapts the network of `start` without any source
    image."""
    target: str | None = None
    """Data URI of unlabelled photographs; only `oracle` reads their masks, if there are any."""
    test: str | None = None
    """Data URI of labelled photographs; they are scored after training, never before."""
    outlined: str | None = None
    """Data URI of a few photographs of the target that a reader has outlined. They are learnt
    beside the source (see `data.images.FundusImages`), or alone where no source is used."""
    source_annotation: str | None = None
    target_annotation: str | None = None
    """Annotation whose masks are used, if a dataset has several; None for its default."""
    size: int = Field(512, ge=64, le=4096, multiple_of=16)
    """Side of the square network input in pixels."""
    augmentation: Literal["plain", "strong"] = "plain"
    """Augmentation: of the labelled images `data.transforms.plain_transforms` or
    `strong_transforms`; the unlabelled images have the same magnifications in plain colours."""
    source_sizes: Literal["as_they_are", "target"] = "as_they_are"
    """Sizes of discs and cups in the labelled images: as they are, or such as the network finds in
    the target's (see `segmentation.size_match`). The oracle's and a target's own have them."""
    tta_flips: bool = False
    """Test-time augmentation: the mean over the photograph as it is, mirrored and upside down."""
    fill_cup_hull: bool = False
    """Whether the predicted cup is filled up to its convex hull (see `masks.postprocess`)."""


LEARN_NO_OUTLINES = ("oracle", "adabn")
"""Methods that do not learn `data.outlined`."""


class FundusSettings(EngineSettings):
    """All settings of a fundus run."""

    data: DataSettings
    network: DeepLabV3PlusSettings = DeepLabV3PlusSettings()

    @model_validator(mode="after")
    def _one_level(self) -> "FundusSettings":
        if self.adaptation.auxiliary is not None:
            raise ValueError("adaptation.auxiliary needs an auxiliary head, which DeepLabv3+ lacks")
        return self

    @model_validator(mode="after")
    def _has_sizes_to_show(self) -> "FundusSettings":
        if self.data.source_sizes == "target" and self.data.target is None:
            raise ValueError(
                "data.source_sizes=target needs data.target: name a set, or set as_they_are"
            )
        return self

    @model_validator(mode="after")
    def _learns_labels(self) -> "FundusSettings":
        if self.data.outlined is not None and self.method in LEARN_NO_OUTLINES:
            learns = "no labels" if self.method == "adabn" else "all of the target's labels"
            raise ValueError(f"data.outlined is not for {self.method}, which learns {learns}")
        return self

    @model_validator(mode="after")
    def _is_large_enough_to_discriminate(self) -> "FundusSettings":
        require_map_to_discriminate(self.method, self.affinity, "data.size", self.data.size)
        return self

    @model_validator(mode="after")
    def _has_something_to_learn_from(self) -> "FundusSettings":
        method, source_free = METHODS[self.method], self.data.source is None
        if source_free and method.needs_source and self.method != "oracle":
            raise ValueError(f"method {self.method} needs data.source: name a labelled set")
        require_start(self.method, self.start, self.data.source)
        return self


def read_settings(name_or_path: str, overrides: list[str]) -> FundusSettings:
    """Read settings from a file or a shipped experiment, such as "cpu/asa", with overrides.

    Raises:
        InputError: see `load_settings`.
    """
    return load_settings(FundusSettings, name_or_path, "fundus", overrides)
