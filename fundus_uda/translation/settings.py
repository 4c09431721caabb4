"""Settings of a translation."""

from typing import Annotated

from pydantic import Field

from fundus_uda.engine.config import (
    RunSettings,
    Settings,
    find_config,
    load_settings,
    override,
)
from fundus_uda.engine.errors import InputError


class HistogramSettings(Settings):
    """Histogram matching, channel by channel, with one target image for each source image."""

    source: str
    """Address of the labelled images to translate."""
    target: str
    """Address of the images whose style they take; labels that may be there are not read."""
    seed: int = Field(0, ge=0)


class FourierSettings(HistogramSettings):
    """See `fourier.exchange_amplitude`."""

    beta: float = Field(0.01, ge=0, le=0.5)
    """Cycles per pixel up to which the amplitudes are the target's."""


class GeneratorSettings(Settings):
    """See `generator.ResnetGenerator`."""

    channels: int = Field(64, gt=0)
    blocks: int = Field(9, ge=0)
    start_at_identity: bool = False


class CycadaSettings(RunSettings):
    """CycleGAN with semantic consistency; the defaults are CycleGAN's (Zhu et al., ICCV 2017)."""

    source: str
    target: str
    model: str
    """Run folder or checkpoint of a source-only model: the fixed segmenter of the semantic
    consistency. The images are translated at the size at which it was trained."""
    crop: int = Field(256, ge=32, multiple_of=16)
    """Side of the random squares that a step sees, in pixels at that size."""
    generator: GeneratorSettings = GeneratorSettings()
    discriminator_channels: int = Field(64, gt=0)
    lr: float = Field(2e-4, gt=0)
    """Of Adam, constant in the first half of the training, then falling to 0 linearly."""
    betas: tuple[Annotated[float, Field(ge=0, lt=1)], Annotated[float, Field(ge=0, lt=1)]] = (
        0.5,
        0.999,
    )
    cycle_weight: float = Field(10.0, ge=0)
    identity_weight: float = Field(5.0, ge=0)
    semantic_weight: float = Field(1.0, ge=0)
    history: int = Field(50, ge=0)
    """Past translations of each direction from which the discriminators are shown one in two."""


TranslationSettings = FourierSettings | HistogramSettings | CycadaSettings

METHODS: dict[str, type[TranslationSettings]] = {
    "fourier": FourierSettings,
    "histogram": HistogramSettings,
    "cycada": CycadaSettings,
}


def read_settings(
    method: str,
    source: str,
    target: str,
    model: str | None,
    config: str | None,
    overrides: list[str],
) -> TranslationSettings:
    """Settings of a method, from a file or its shipped one, with `key=value` overrides.

    Args:
        method: a key of `METHODS`.
        source: address of the images to translate.
        target: address of the images whose style they take.
        model: run folder or checkpoint, for cycada alone.
        config: a YAML file or a shipped name; None for `translation/METHOD`.
        overrides: `key=value`.

    Raises:
        InputError: unknown method, a model without need or missing, no such file or name, or a
            problem in it.
    """
    if method not in METHODS:
        raise InputError(f"Expected METHOD to be one of {', '.join(METHODS)}. Got: {method!r}.")
    if (model is not None) != (method == "cycada"):
        raise InputError(
            "Expected --model RUN, a source-only model for the semantic consistency, with cycada "
            f"and with no other method. Got: {method} with --model {model or 'missing'}."
        )
    path = find_config(config or f"translation/{method}", "translation")
    given = {"source": source, "target": target, "model": model}
    addresses = [override(key, value) for key, value in given.items() if value is not None]
    return load_settings(METHODS[method], path, [*overrides, *addresses])
