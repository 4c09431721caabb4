"""Settings of a road-scene run."""

from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from fundus_uda.engine.config import (
    EngineSettings,
    Settings,
    find_config,
    load_settings,
    merge,
)
from roadscene.presets import DEEPLAB_V2_PRESETS, PRESETS, PresetName

Size = tuple[Annotated[int, Field(ge=32)], Annotated[int, Field(ge=32)]]
"""(height, width) in pixels."""


class DataSettings(Settings):
    """Addresses are `KIND:PATH` or `KIND:PATH#SPLIT` (see `roadscene.data`)."""

    source: str
    """Labelled. Not read by the method `oracle`, which trains on the target's labels."""
    target: str | None = None
    """Unlabelled; labels that may be there are not read, but by `oracle`."""
    test: str | None = None
    """Labelled; scored after training, never before."""
    source_size: Size
    """To which source images and labels are resized."""
    target_size: Size
    """To which target and test images are resized; test labels keep their size."""
    classes: Literal[19, 16, 13]
    test_resize: Literal["bicubic", "bilinear"] = "bicubic"
    """Of test images: "bicubic" as in training, or "bilinear" with aligned corners."""


class DeepLabV2Settings(Settings):
    """See `roadscene.deeplab_v2`. An auxiliary head comes with `adaptation.auxiliary`."""

    architecture: Literal["deeplab_v2"]
    backbone: Literal["resnet101", "vgg16"]
    weights: str
    """A file (see `roadscene.weights`), "imagenet" (a download), or "random"."""
    aspp_branches: Literal[4, 2] = 4
    normalisation: Literal["bgr", "bgr_minus_rgb_mean", "torchvision"] = "bgr"
    """What the network expects of its images (see `roadscene.model.NORMALISATIONS`)."""
    backbone_lr: Literal["once", "repeated"] = "once"
    """Whether ResNet-101 parameters count once, or as often as the released code yields them."""


class DeepLabV3PlusSettings(Settings):
    """See `fundus_uda.networks.deeplab_v3plus`."""

    architecture: Literal["deeplab_v3plus"]
    encoder: str = "resnet101"
    weights: str = "imagenet"
    output_stride: Literal[8, 16] = 16


class RoadSettings(EngineSettings):
    """All of a run."""

    preset: PresetName = "paper"
    """What is taken for every option that is not given (see `roadscene.presets`)."""
    data: DataSettings
    network: Annotated[
        DeepLabV2Settings | DeepLabV3PlusSettings, Field(discriminator="architecture")
    ]

    @model_validator(mode="after")
    def _deeplab_v3plus_takes(self) -> "RoadSettings":
        if self.network.architecture == "deeplab_v3plus":
            if self.batch_size < 2:
                raise ValueError("deeplab_v3plus needs batch_size of at least 2")
            sizes = (*self.data.source_size, *self.data.target_size)
            if any(length % 16 for length in sizes):
                raise ValueError(f"deeplab_v3plus needs sizes divisible by 16, not {sizes}")
        return self

    @model_validator(mode="before")
    @classmethod
    def _fill_in_the_preset(cls, raw: dict[str, Any]) -> dict[str, Any]:
        name = raw.get("preset", "paper")
        if not isinstance(name, str) or name not in PRESETS:
            return raw  # the type of `preset` rejects it
        below = dict(PRESETS[name])
        network = raw.get("network")
        if isinstance(network, dict) and network.get("architecture") == "deeplab_v2":
            below["network"] = DEEPLAB_V2_PRESETS[name]
        return merge(below, raw)


def read_settings(name_or_path: str, overrides: list[str]) -> RoadSettings:
    """Settings from a file, or from a shipped one by name, with `key=value` overrides.

    Raises:
        InputError: no such file or name, or a problem in it.
    """
    return load_settings(RoadSettings, find_config(name_or_path, "roadscene"), overrides)
