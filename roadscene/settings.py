"""Settings of a road-scene run."""

from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from fundus_uda.config.read import Settings, load_settings, merge
from fundus_uda.engine.methods import require_map_to_discriminate, require_start
from fundus_uda.engine.settings import DeepLabV3PlusSettings, EngineSettings
from roadscene.presets import DEEPLAB_V2_PRESETS, PRESETS, PresetName

Side = Annotated[int, Field(ge=32, le=8192)]
Size = tuple[Side, Side]
"""Size (height, width) in pixels."""


class DataSettings(Settings):
    """Data of a run. Data URIs are `KIND:PATH` or `KIND:PATH#SPLIT` (see `roadscene.data`)."""

    source: str
    """Data URI of labelled images. The method `oracle` trains on the target's labels instead."""
    target: str | None = None
    """Data URI of unlabelled images; only `oracle` reads labels that may be there."""
    test: str | None = None
    """Data URI of labelled images, scored after training and never before."""
    source_size: Size
    """Size to which source images and labels are resized."""
    target_size: Size
    """Size to which target and test images are resized; test labels keep their size."""
    classes: Literal[19, 16, 13]
    source_classes: Literal["as_they_are", "target"] = "as_they_are"
    """Class shares of the labelled images: as they are, or, by sampling, those that the network
    finds in the target (see `roadscene.class_match`)."""
    test_resize: Literal["bicubic", "bilinear"] = "bicubic"
    """Interpolation of test images: "bicubic" as in training, or "bilinear" with aligned
    corners."""


class DeepLabV2Settings(Settings):
    """Settings of `roadscene.deeplab_v2`; `adaptation.auxiliary` adds an auxiliary head."""

    architecture: Literal["deeplab_v2"]
    backbone: Literal["resnet101", "vgg16"]
    weights: str
    """File (see `roadscene.weights`), "imagenet" (a download), or "random"."""
    aspp_branches: Literal[4, 2] = 4
    normalisation: Literal["bgr", "bgr_minus_rgb_mean", "torchvision"] = "bgr"
    """Normalisation that the network expects (see `roadscene.model.NORMALISATIONS`)."""
    backbone_lr: Literal["once", "repeated"] = "once"
    """Whether ResNet-101 parameters count once, or as often as the released code yields them."""


class RoadDeepLabV3PlusSettings(DeepLabV3PlusSettings):
    """The network of the CPU profile."""

    architecture: Literal["deeplab_v3plus"]


class RoadSettings(EngineSettings):
    """All settings of a run."""

    preset: PresetName = "paper"
    """Preset for every option that is not given (see `roadscene.presets`)."""
    data: DataSettings
    network: Annotated[
        DeepLabV2Settings | RoadDeepLabV3PlusSettings, Field(discriminator="architecture")
    ]

    @model_validator(mode="after")
    def _has_classes_to_show(self) -> "RoadSettings":
        if self.data.source_classes == "target" and self.data.target is None:
            raise ValueError(
                "data.source_classes=target needs data.target: name a set, or set as_they_are"
            )
        return self

    @model_validator(mode="after")
    def _is_large_enough_to_discriminate(self) -> "RoadSettings":
        for name in ("source_size", "target_size"):
            sides = getattr(self.data, name)
            require_map_to_discriminate(self.method, self.affinity, f"data.{name}", *sides)
        return self

    @model_validator(mode="after")
    def _has_a_network_to_start_from(self) -> "RoadSettings":
        require_start(self.method, self.start, self.data.source)
        return self

    @model_validator(mode="after")
    def _deeplab_v3plus_takes(self) -> "RoadSettings":
        if self.network.architecture == "deeplab_v3plus":
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
    """Read settings from a file or a shipped experiment, such as "gta5/resnet101_asa".

    Raises:
        InputError: see `load_settings`.
    """
    return load_settings(RoadSettings, name_or_path, "roadscene", overrides)
