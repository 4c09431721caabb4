"""Settings of a fundus run."""

from typing import Literal

from pydantic import Field, model_validator

from fundus_uda.engine.config import EngineSettings, Settings, find_config, load_settings
from fundus_uda.engine.methods import METHODS


class DataSettings(Settings):
    """Addresses are `KIND:PATH` or `KIND:PATH#SPLIT` (see `fundus_uda.data.datasets`)."""

    source: str | None
    """Labelled. Not read by the methods `oracle`, which trains on the target's labels, and
    `self_training`. Null adapts the network of `start` without any source image."""
    target: str | None = None
    """Unlabelled; masks that may be there are not read, but by `oracle`."""
    test: str | None = None
    """Labelled; scored after training, never before."""
    source_annotation: str | None = None
    target_annotation: str | None = None
    """Whose masks, where a dataset has several; None for its default."""
    size: int = Field(512, ge=64, multiple_of=16)
    """Side of the square network input in pixels."""
    augmentation: Literal["plain", "strong"] = "plain"
    """Of the labelled images: `data.transforms.random_transforms` or `strong_transforms`."""
    flips: bool = False
    """Predict with the mean over the photograph as it is, mirrored and upside down."""
    convex_cup: bool = False
    """Predict the convex hull of the cup, inside the disc (see `anatomy`)."""


class NetworkSettings(Settings):
    """DeepLabv3+ (see `fundus_uda.networks.deeplab_v3plus`)."""

    encoder: str = "resnet101"
    weights: str = "imagenet"
    output_stride: Literal[8, 16] = 16


class FundusSettings(EngineSettings):
    """All of a run."""

    batch_size: int = Field(ge=2)
    """At least 2: DeepLabv3+ normalises its image pooling over the batch alone."""
    data: DataSettings
    network: NetworkSettings = NetworkSettings()

    @model_validator(mode="after")
    def _one_level(self) -> "FundusSettings":
        if self.adaptation.auxiliary is not None:
            raise ValueError("adaptation.auxiliary needs an auxiliary head, which DeepLabv3+ lacks")
        return self

    @model_validator(mode="after")
    def _has_something_to_learn_from(self) -> "FundusSettings":
        method, source_free = METHODS[self.method], self.data.source is None
        if source_free and method.needs_source and self.method != "oracle":
            raise ValueError(f"method {self.method} needs data.source: name a labelled set")
        if (
            self.start is None
            and method.adapts
            and (method.teacher or method.without_source or source_free)
        ):
            raise ValueError("start must name a model, with a teacher or without source images")
        return self


def read_settings(name_or_path: str, overrides: list[str]) -> FundusSettings:
    """Settings from a file, or from a shipped one by name, with `key=value` overrides.

    Raises:
        InputError: no such file or name, or a problem in it.
    """
    return load_settings(FundusSettings, find_config(name_or_path, "fundus"), overrides)
