"""Typed settings of a run, read strictly from YAML and `key=value` overrides."""

import difflib
import json
import os
import re
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar, get_args

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from fundus_uda.affinity.equations import Measure, Similarity
from fundus_uda.engine.errors import InputError

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


class Settings(BaseModel):
    """Frozen, and an unknown key is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True)


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


SettingsT = TypeVar("SettingsT", bound=Settings)


def load_settings(model: type[SettingsT], path: Path, overrides: list[str]) -> SettingsT:
    """Read a YAML file into `model`.

    A key `extends: OTHER.yaml` (relative to the file) starts from that file. `overrides` are
    `dotted.key=value`, the value in YAML. `${NAME}` in a string is an environment variable.

    Raises:
        InputError: with every problem found: unknown key (and the nearest known one), wrong
            type, value out of range, unset variable, unreadable file.
    """
    raw = _read_yaml(path)
    for override in overrides:
        key, separator, value = override.partition("=")
        if not separator or not key:
            raise InputError(f"Expected KEY=VALUE, for example steps=100. Got: {override!r}.")
        # in YAML, " #" would begin a comment; on the command line it is part of a path
        is_path = " #" in value and not value.startswith('"')
        nested: Any = value if is_path else _parse(value, f"the value of {override!r}")
        for part in reversed(key.split(".")):
            nested = {part: nested}
        raw = merge(raw, nested)
    try:
        return model.model_validate(_expand_variables(raw))
    except ValidationError as error:
        raise InputError(_explain(error, model, path)) from None


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
    raw = _parse(text, str(path))
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


def _parse(text: str, where: str) -> Any:
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise InputError(f"Expected YAML in {where}. Got: {error}") from None


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


def _explain(error: ValidationError, model: type[BaseModel], path: Path) -> str:
    known = _known_keys(model)
    lines = [f"{error.error_count()} problem(s) in the settings of {path}:"]
    for problem in error.errors():
        key = _as_written(problem["loc"], known)
        if problem["type"] == "extra_forbidden":
            nearest = difflib.get_close_matches(key, known, n=1, cutoff=0.5)
            hint = f"Did you mean {nearest[0]}?" if nearest else f"Known are {', '.join(known)}."
            lines.append(f"  {key}: unknown key. {hint}")
        elif problem["type"] == "missing":
            lines.append(f"  {key}: required, and missing.")
        else:
            lines.append(f"  {key}: {problem['msg']}. Got: {problem['input']!r}.")
    return "\n".join(lines)


def _as_written(loc: tuple[int | str, ...], known: list[str]) -> str:
    """A key without the tags by which pydantic tells apart the kinds of a section."""
    if not loc:
        return "settings"
    key = ""
    for part in loc[:-1]:
        longer = f"{key}.{part}" if key else str(part)
        key = longer if longer in known or not key else key
    return f"{key}.{loc[-1]}" if key else ".".join(map(str, loc[-1:]))


def _known_keys(annotation: Any, prefix: str = "") -> list[str]:
    """Dotted names of all settings, those of optional sections and of each kind included."""
    if not (isinstance(annotation, type) and issubclass(annotation, BaseModel)):
        inner = [_known_keys(argument, prefix) for argument in get_args(annotation)]
        return list(dict.fromkeys(key for keys in inner for key in keys))
    keys = []
    for name, field in annotation.model_fields.items():
        keys += [prefix + name, *_known_keys(field.annotation, f"{prefix}{name}.")]
    return keys
