"""Settings of a translation."""

from pathlib import Path
from typing import Annotated

from pydantic import Field

from fundus_uda.config.read import Settings, load_settings, override
from fundus_uda.engine.settings import RunSettings
from fundus_uda.errors import InputError


class HistogramSettings(Settings):
    """Settings of histogram matching, by channel, with one target image per source image."""

    source: str
    """Data URI of the labelled images to translate."""
    target: str
    """Data URI of the images whose style they take; their labels, if any, are not read."""
    seed: int = Field(0, ge=0)


class FourierSettings(HistogramSettings):
    """Settings of the Fourier translation (see `fourier.exchange_amplitude`)."""

    beta: float = Field(0.01, ge=0, le=0.5)
    """Highest frequency, in cycles per pixel, whose amplitudes are the target's."""


class GeneratorSettings(Settings):
    """Settings of the generators (see `generator.ResnetGenerator`)."""

    channels: int = Field(64, gt=0)
    blocks: int = Field(9, ge=0)
    start_at_identity: bool = False


class CycadaSettings(RunSettings):
    """Settings of CycleGAN with semantic consistency; defaults of Zhu et al., ICCV 2017."""

    source: str
    target: str
    model: str
    """Run folder or checkpoint of a source-only model: the fixed segmenter of the semantic
    consistency. The images are translated at the size at which it was trained."""
    width: int | None = Field(None, ge=64)
    """Width to which images are scaled for the networks, in pixels, at their own aspect; null for
    the size at which `model` was trained."""
    crop: int = Field(256, ge=32, multiple_of=16)
    """Side of the random squares that a step sees, in pixels at that size."""
    generator: GeneratorSettings = GeneratorSettings()
    discriminator_channels: int = Field(64, gt=0)
    lr: float = Field(2e-4, gt=0)
    """Learning rate of Adam, constant in the first half of training, then falling linearly to 0."""
    betas: tuple[Annotated[float, Field(ge=0, lt=1)], Annotated[float, Field(ge=0, lt=1)]] = (
        0.5,
        0.999,
    )
    cycle_weight: float = Field(10.0, ge=0)
    identity_weight: float = Field(5.0, ge=0)
    semantic_weight: float = Field(1.0, ge=0)
    pool_size: int = Field(50, ge=0)
    """Number of past translations kept per direction; discriminators see one every other time."""


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
    config: str,
    overrides: list[str],
) -> TranslationSettings:
    """Read the settings of a method from a file or a shipped experiment, with overrides.

    Args:
        method: a key of `METHODS`.
        source: data URI of the images to translate.
        target: data URI of the images whose style they take.
        model: run folder or checkpoint of a source-only model, for cycada alone.
        config: YAML file, or a profile in whose settings the method is an experiment.
        overrides: `key=value`.

    Raises:
        InputError: an unknown method, a model that is missing or not needed, no such file or
            profile, or a problem in it.
    """
    if method not in METHODS:
        raise InputError(f"Expected METHOD to be one of {', '.join(METHODS)}. Got: {method!r}.")
    if (model is not None) != (method == "cycada"):
        raise InputError(
            "Expected --model RUN, a source-only model for the semantic consistency, with cycada "
            f"and with no other method. Got: {method} with --model {model or 'missing'}."
        )
    given = {"source": source, "target": target, "model": model}
    uris = [override(key, value) for key, value in given.items() if value is not None]
    name = config if Path(config).is_file() else f"{config}/{method}"
    return load_settings(METHODS[method], name, "translation", [*overrides, *uris])
