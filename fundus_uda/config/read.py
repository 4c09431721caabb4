"""Strict reading of settings from YAML and `key=value` overrides."""

import copy
import difflib
import json
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal, Self, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError, model_validator

from fundus_uda.config.validation_errors import format_validation_error, takes_number, takes_text
from fundus_uda.config.yaml_text import parse_yaml
from fundus_uda.errors import InputError
from fundus_uda.paths import require_no_stream

DEPTH = 8
"""Largest number of dots in the key of an override."""
LARGEST = 2**32
"""Largest size of a number in settings."""
Profile = Literal["cpu", "paper"]
"""Scale of a shipped experiment: small enough for a CPU, or the paper's."""


class Settings(BaseModel):
    """Base of all settings: frozen; unknown keys and booleans for numbers are errors."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    @model_validator(mode="before")
    @classmethod
    def _keep_booleans_from_numbers(cls, raw: Any) -> Any:
        """Turn booleans given for numbers into words, which are refused; true would pass for 1."""
        if not isinstance(raw, dict):
            return raw
        fields = cls.model_fields
        wrong = {
            key: str(value).lower()
            for key, value in raw.items()
            if isinstance(value, bool) and key in fields and takes_number(fields[key].annotation)
        }
        return raw | wrong

    @model_validator(mode="after")
    def _has_numbers_to_compute_with(self) -> Self:
        """Refuse numbers that are not finite or would overflow in float32."""
        for name, value in self:
            for number in value if isinstance(value, tuple) else (value,):
                if isinstance(number, int | float) and not abs(number) <= LARGEST:
                    raise ValueError(f"{name} must be at most {LARGEST} in size")
        return self


_KEEPS_UNSET: ContextVar[bool] = ContextVar("keeps_unset", default=False)

_NULL = ("", "~", "null")
"""Spellings of null in YAML."""

SettingsT = TypeVar("SettingsT", bound=Settings)


def load_settings(
    model: type[SettingsT], name_or_path: str, group: str, overrides: list[str]
) -> SettingsT:
    """Read the settings of a file or of an experiment into `model`.

    The key `extends: OTHER.yaml` (relative to the file) names a file to start from. An entry under
    `experiments` is laid over the rest of its file; its key `extends` names another entry to start
    from. `${NAME}` in a string is an environment variable.

    Args:
        model: class of the settings.
        name_or_path: YAML file, an experiment in one (`FILE.yaml/EXPERIMENT`), or a shipped
            experiment (`BENCHMARK/EXPERIMENT`).
        group: application whose experiments are shipped, for example "fundus".
        overrides: `dotted.key=value`. The value of a text is taken as written, or as JSON in double
            quotes; any other value is YAML.

    Raises:
        InputError: names every problem found: no such file or experiment (and the nearest), unknown
            key (and the nearest known one), wrong type, value out of range, unset variable,
            unreadable file, key given twice.
    """
    path, experiment = _find(name_or_path, group)
    raw = _read_yaml(path)
    raw.pop("experiments", None)
    if experiment is not None:
        raw = merge(raw, _entry(_experiments(path), experiment, path))
    overridden = []
    for override in overrides:
        key, separator, value = override.partition("=")
        shown = repr(override if len(override) <= 200 else f"{override[:200]}...")
        if not separator or not key or key.count(".") > DEPTH:
            raise InputError(f"Expected KEY=VALUE, for example steps=100. Got: {shown}.")
        is_text = takes_text(model, key) and value not in _NULL and not value.startswith('"')
        nested: Any = value if is_text else parse_yaml(value, f"the value of {shown}")
        for part in reversed(key.split(".")):
            nested = {part: nested}
        raw = merge(raw, nested)
        overridden.append(key)
    try:
        return model.model_validate(_expand_variables(raw))
    except ValidationError as error:
        raise InputError(format_validation_error(error, model, str(path), overridden)) from None


def override(key: str, value: str | int | list[int] | None) -> str:
    """Format `key=value` for `load_settings`, whatever the value: paths may look like YAML."""
    return f"{key}={json.dumps(value, ensure_ascii=False)}"


def shipped_experiments(group: str) -> list[str]:
    """List the experiments of an application by the names that `load_settings` takes."""
    return [
        f"{path.stem}/{experiment}"
        for path in sorted((config_folder() / group).glob("*.yaml"))
        for experiment in _experiments(path)
    ]


@contextmanager
def unset_variables_kept() -> Iterator[None]:
    """Leave `${NAME}` in the settings that are read inside where NAME is not set, to show them."""
    token = _KEEPS_UNSET.set(True)
    try:
        yield
    finally:
        _KEEPS_UNSET.reset(token)


def _find(name_or_path: str, group: str) -> tuple[Path, str | None]:
    """Find the file of a name that `load_settings` takes, and the experiment in it."""
    path = Path(name_or_path)
    if path.is_file():
        return path, None
    benchmark, _, experiment = name_or_path.rpartition("/")
    known = None
    for file in (Path(benchmark), config_folder() / group / f"{benchmark}.yaml"):
        if file.is_file():
            entries = _experiments(file)
            if experiment in entries:
                return file, experiment
            known = [f"{benchmark}/{entry}" for entry in entries]
    known = shipped_experiments(group) if known is None else known
    nearest = difflib.get_close_matches(name_or_path, known, n=1, cutoff=0.4)
    hint = f"Did you mean {nearest[0]}?" if nearest else "The command `configs` lists them."
    raise InputError(
        f"Expected a settings file or a shipped experiment. Got: {name_or_path!r}. {hint}"
    )


def _experiments(path: Path) -> dict[str, dict[str, Any]]:
    """Read the entries under `experiments` of a file.

    Raises:
        InputError: entries that are no settings.
    """
    entries = _read_yaml(path).get("experiments")
    entries = {} if entries is None else entries
    if not isinstance(entries, dict) or not all(
        isinstance(entry, dict | None) for entry in entries.values()
    ):
        raise InputError(
            f"Expected `experiments` in {path} to have entries such as `asa: {{method: asa}}`. "
            f"Got: {entries!r}."
        )
    return {name: entry or {} for name, entry in entries.items()}


def _entry(entries: dict[str, Any], name: str, path: Path) -> dict[str, Any]:
    """Lay an experiment's entry over the one that it extends."""
    entry, seen = dict(entries[name]), [name]
    while (base := entry.pop("extends", None)) is not None:
        if not isinstance(base, str) or base not in entries or base in seen:
            raise InputError(
                f"Expected `extends` of {name} in {path} to name another experiment there that "
                f"does not lead back to it. Got: {base!r}."
            )
        seen.append(base)
        entry = merge(dict(entries[base]), entry)
    return entry


def config_folder() -> Path:
    """Return the folder of shipped settings: in the installed package, or atop a checkout."""
    package = Path(__file__).parents[1]
    installed = package / "configs"
    return installed if installed.is_dir() else package.parent / "configs"


def differences(ours: dict[str, Any], theirs: dict[str, Any], prefix: str = "") -> list[str]:
    """List `key: ours here, theirs there` for every leaf in which two nested settings differ."""
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
        require_no_stream(path)
        text = path.read_text(encoding="utf-8")
    except (OSError, ValueError) as error:  # not UTF-8, or a name with a NUL
        raise InputError(f"Expected a YAML settings file at {path}. Got: {error}.") from None
    raw = copy.copy(_parsed(text, str(path)))  # what is in it is never changed in place
    if not isinstance(raw, dict):
        raise InputError(f"Expected `key: value` lines in {path}. Got: {type(raw).__name__}.")
    base = raw.pop("extends", None)
    if base is not None and (not isinstance(base, str) or path.resolve() in above):
        raise InputError(
            f"Expected `extends` in {path} to name another settings file that does not lead back "
            f"here. Got: {base!r}."
        )
    if base is None:
        return raw
    below = _read_yaml(path.parent / base, (*above, path.resolve()))
    below.pop("experiments", None)  # a file's experiments are those that it lists itself
    return merge(below, raw)


_parsed = lru_cache(maxsize=16)(parse_yaml)  # to list all experiments parses each file many times


def merge(below: dict[str, Any], above: dict[str, Any]) -> dict[str, Any]:
    """Merge nested settings: those of `above`, and those of `below` that `above` does not set."""
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
        if name not in os.environ and _KEEPS_UNSET.get():
            return match.group(0)
        if name not in os.environ:
            raise InputError(
                f"Expected the environment variable {name}, which {value!r} uses. Got: not set. "
                f"Set it to your data folder, or override the path on the command line."
            )
        return os.environ[name]

    return re.sub(r"\$\{(\w+)\}", lookup, value)
