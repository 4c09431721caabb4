"""Typed settings of a run, read strictly from YAML and `key=value` overrides."""

import json
import os
import re
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from fundus_uda.affinity.equations import Measure, Similarity
from fundus_uda.engine.errors import InputError
from fundus_uda.engine.explain import explain, takes_number, takes_text
from fundus_uda.engine.yaml_text import parse_yaml

MethodName = Literal[
    "source",
    "oracle",
    "adaptsegnet",
    "advent",
    "minent",
    "maxsquare",
    "asc",
    "asa",
    "asa_asc",
    "self_training",
    "adabn",
    "mean_teacher",
]

Profile = Literal["cpu", "paper"]
"""Every shipped experiment is there at the paper's scale, and small enough for a CPU."""


class Settings(BaseModel):
    """Frozen, and an unknown key is an error, as is true or false for a number."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    @model_validator(mode="before")
    @classmethod
    def _keep_booleans_from_numbers(cls, raw: Any) -> Any:
        """Pydantic would take true for 1; as a word, it is refused where it stands."""
        if not isinstance(raw, dict):
            return raw
        fields = cls.model_fields
        wrong = {
            key: str(value).lower()
            for key, value in raw.items()
            if isinstance(value, bool) and key in fields and takes_number(fields[key].annotation)
        }
        return raw | wrong


Momentum = Annotated[float, Field(ge=0, lt=1)]


class SegmenterOptimizer(Settings):
    """SGD on the segmentation network."""

    lr: float = Field(2.5e-4, gt=0)
    momentum: Momentum = 0.9
    weight_decay: float = Field(5e-4, ge=0)
    head_lr_factor: float = Field(1.0, gt=0)
    """Learning rate of everything but the encoder, relative to `lr`."""


class DiscriminatorOptimizer(Settings):
    """Adam on the discriminator."""

    lr: float = Field(1e-4, gt=0)
    betas: tuple[Momentum, Momentum] = (0.9, 0.99)


class AffinitySettings(Settings):
    """How affinity is measured (see `fundus_uda.affinity.equations`)."""

    neighbors: Literal[4, 8] = 8
    measure: Measure = "bernoulli_kl"
    similarity: Similarity = "cosine"
    reduction: Literal["mean", "sum"] = "mean"


class AuxiliarySettings(Settings):
    """Weights of a second, shallower prediction: multi-level AdaptSegNet and ADVENT.

    The segmenter then gives (main, auxiliary) logits while it trains. The auxiliary ones have
    a discriminator of their own; the regulariser acts on the main ones alone.
    """

    segmentation_weight: float = Field(0.1, ge=0)
    adversarial_weight: float = Field(0.0002, ge=0)


class TeacherSettings(Settings):
    """Of a method that learns from pseudo-labels (see `fundus_uda.engine.teacher`)."""

    weight: float = Field(1.0, ge=0)
    """Of the loss on pseudo-labels."""
    confidence: float = Field(0.9, ge=0, le=1)
    """Probability that a pixel needs to teach, without `keep`."""
    keep: float | None = Field(None, gt=0, le=1)
    """Share of each class's pixels, the most confident ones, that teach."""
    decay: float = Field(0.98, ge=0, lt=1)
    """What a mean teacher keeps of itself at each step."""


class AdaptationSettings(Settings):
    """Weights of the target terms (lambda in Eqs. 3 and 6)."""

    adversarial_weight: float = Field(0.001, ge=0)
    adversarial_damping: bool = False
    """Multiply the adversarial weight by (1 - step / steps), as the released code does."""
    regulariser_weight: float = Field(0.001, ge=0)
    statistics: Literal["both", "source"] = "both"
    """Whose batches move the running statistics of batch normalisation, with which the network
    predicts: both domains', as in the released code, or the source's alone."""
    auxiliary: AuxiliarySettings | None = None
    teacher: TeacherSettings = TeacherSettings()


class RunSettings(Settings):
    """What the loop needs to know of any training."""

    seed: int = Field(0, ge=0)
    steps: int = Field(gt=0)
    """Updates of the networks."""
    batch_size: int = Field(gt=0)
    """Images per domain and step."""
    snapshot_every: int = Field(gt=0)
    """Steps between snapshots: checkpoint and, if there is one, selection score."""
    shuffle: bool = True
    """A new order of the images each epoch; False reads them in the order of their list."""
    channels_last: bool = False
    workers: int = Field(0, ge=0)
    """Processes that load batches of each domain. Does not change what a step sees."""


class EngineSettings(RunSettings):
    """What the engine needs to know of an adaptation; an application adds data and network."""

    method: MethodName
    start: str | None = None
    """A run folder or a checkpoint whose network this run starts from."""
    poly_power: float = Field(0.9, ge=0)
    segmenter: SegmenterOptimizer = SegmenterOptimizer()
    discriminator: DiscriminatorOptimizer = DiscriminatorOptimizer()
    affinity: AffinitySettings = AffinitySettings()
    adaptation: AdaptationSettings = AdaptationSettings()
    class_balance: float = Field(0, ge=0, le=1)
    """How much a pixel of a rare class weighs more in the losses on labels and pseudo-labels (see
    `affinity.class_weights`); 0 for not at all."""
    precision: Literal["float32", "float16", "bfloat16"] = "float32"
    """Autocast of both networks; the affinity core always computes in float32."""
    ignore_label: int = 255


_NULL = ("", "~", "null")
"""No value, in YAML."""

SettingsT = TypeVar("SettingsT", bound=Settings)


def load_settings(model: type[SettingsT], path: Path, overrides: list[str]) -> SettingsT:
    """Read a YAML file into `model`.

    A key `extends: OTHER.yaml` (relative to the file) starts from that file. `overrides` are
    `dotted.key=value`: a text is taken as it is written, or in double quotes as JSON; any other
    value is YAML. `${NAME}` in a string is an environment variable.

    Raises:
        InputError: with every problem found: unknown key (and the nearest known one), wrong
            type, value out of range, unset variable, unreadable file, key given twice.
    """
    raw = _read_yaml(path)
    overridden = []
    for override in overrides:
        key, separator, value = override.partition("=")
        if not separator or not key:
            raise InputError(f"Expected KEY=VALUE, for example steps=100. Got: {override!r}.")
        is_text = takes_text(model, key) and value not in _NULL and not value.startswith('"')
        nested: Any = value if is_text else parse_yaml(value, f"the value of {override!r}")
        for part in reversed(key.split(".")):
            nested = {part: nested}
        raw = merge(raw, nested)
        overridden.append(key)
    try:
        return model.model_validate(_expand_variables(raw))
    except ValidationError as error:
        raise InputError(explain(error, model, str(path), overridden)) from None


def override(key: str, value: str | int | None) -> str:
    """`key=value` for `load_settings`, whatever the value holds: paths may look like YAML."""
    return f"{key}={json.dumps(value, ensure_ascii=False)}"


def find_config(name_or_path: str, group: str) -> Path:
    """A settings file: the path itself, or the shipped one of that name.

    Raises:
        InputError: neither; names the shipped ones of `group`, for example "fundus".
    """
    path = Path(name_or_path)
    if not path.is_file():
        path = config_folder() / f"{name_or_path}.yaml"
    if not path.is_file():
        raise InputError(
            f"Expected a settings file or one of {', '.join(shipped_configs(group))}. "
            f"Got: {name_or_path!r}."
        )
    return path


def in_profile(name: str, profile: Profile) -> str:
    """The name of shipped settings in a profile, from that of the paper's."""
    return f"{name}_cpu" if profile == "cpu" else name


def shipped_configs(group: str) -> list[str]:
    """Names that `find_config` knows: paths below the config folder, without suffix."""
    folder = config_folder()
    return sorted(
        path.relative_to(folder).with_suffix("").as_posix()
        for path in (folder / group).rglob("*.yaml")
    )


def config_folder() -> Path:
    """The shipped settings: inside the installed package, or at the top of a checkout."""
    package = Path(__file__).parents[1]
    installed = package / "configs"
    return installed if installed.is_dir() else package.parent / "configs"


def differences(ours: dict[str, Any], theirs: dict[str, Any], prefix: str = "") -> list[str]:
    """Lines `key: ours, theirs` for every leaf in which two nested settings differ."""
    lines = []
    for key in sorted({*ours, *theirs}):
        one, other = ours.get(key), theirs.get(key)
        if isinstance(one, dict) and isinstance(other, dict):
            lines += differences(one, other, f"{prefix}{key}.")
        elif one != other:
            lines.append(f"{prefix}{key}: {one!r} here, {other!r} there")
    return lines


def _read_yaml(path: Path, above: tuple[Path, ...] = ()) -> dict[str, Any]:
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"Expected a YAML settings file at {path}. Got: {error}.") from None
    raw = parse_yaml(text, str(path))
    if not isinstance(raw, dict):
        raise InputError(f"Expected `key: value` lines in {path}. Got: {type(raw).__name__}.")
    base = raw.pop("extends", None)
    if base is not None and (not isinstance(base, str) or path.resolve() in above):
        raise InputError(
            f"Expected `extends` in {path} to name another settings file that does not lead back "
            f"here. Got: {base!r}."
        )
    return (
        raw
        if base is None
        else merge(_read_yaml(path.parent / base, (*above, path.resolve())), raw)
    )


def merge(below: dict[str, Any], above: dict[str, Any]) -> dict[str, Any]:
    """Nested settings: those of `above`, and of `below` where `above` is silent."""
    merged = dict(below)
    for key, value in above.items():
        old = merged.get(key)
        both = isinstance(old, dict) and isinstance(value, dict)
        merged[key] = merge(old, value) if both else value  # type: ignore[arg-type]
    return merged


def _expand_variables(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _expand_variables(item) for key, item in value.items()}
    if not isinstance(value, str):
        return value

    def lookup(match: re.Match[str]) -> str:
        name = match.group(1)
        if name not in os.environ:
            raise InputError(
                f"Expected the environment variable {name}, which {value!r} uses. Got: not set. "
                f"Set it to your data folder, or override the path on the command line."
            )
        return os.environ[name]

    return re.sub(r"\$\{(\w+)\}", lookup, value)
