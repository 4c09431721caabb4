"""Problems that pydantic finds in settings, by the dotted keys in which they are written."""

import difflib
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError


def format_validation_error(
    error: ValidationError, model: type[BaseModel], where: str, overridden: list[str]
) -> str:
    """Format one line for each problem.

    Args:
        error: error from validating `model`.
        model: class of the settings.
        where: name of their file.
        overridden: dotted keys that the command line gave.
    """
    known = _known_keys(model)
    lines = [f"{error.error_count()} problem(s) in the settings of {where}:"]
    for problem in error.errors():
        key = _as_written(problem["loc"], known)
        if problem["type"] == "extra_forbidden":
            nearest = difflib.get_close_matches(key, known, n=1, cutoff=0.5)
            hint = f"Did you mean {nearest[0]}?" if nearest else f"Known are {', '.join(known)}."
            line = f"  {key}: unknown key. {hint}"
        elif problem["type"] == "missing":
            line = f"  {key}: required, and missing."
        elif problem["type"] == "value_error":  # from our validators, which name the value
            line = f"  {key}: {problem['ctx']['error']}."
        else:
            line = f"  {key}: {problem['msg']}. Got: {_shown(problem['input'])}."
        given = any(_within(key, other) or _within(other, key) for other in overridden)
        lines.append(line + (" (From the command line.)" if given else ""))
    return "\n".join(lines)


def _shown(value: Any) -> str:
    try:
        text = repr(value)
    except ValueError:  # Python writes no number of more than 4300 digits
        return "a number of thousands of digits"
    return text if len(text) <= 200 else f"{text[:200]}..."


def takes_text(model: Any, key: str) -> bool:
    """Return whether the setting of a dotted key is a string, optional or not."""
    types = _types(model, key.split("."))
    return str in types and all(kind in (str, type(None)) for kind in types)


def takes_number(annotation: Any) -> bool:
    """Return whether a setting of this annotation is a number and not a boolean."""
    types = _types(annotation, [])
    return (int in types or float in types) and bool not in types


def _within(key: str, other: str) -> bool:
    return key == other or key.startswith(f"{other}.")


def _types(annotation: Any, parts: list[str]) -> list[Any]:
    """List the types of the setting at `parts` below an annotation, for all kinds of a section."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        if not parts or parts[0] not in annotation.model_fields:
            return []
        return _types(annotation.model_fields[parts[0]].annotation, parts[1:])
    if get_origin(annotation) in (Union, UnionType, Annotated):
        return [kind for inner in get_args(annotation) for kind in _types(inner, parts)]
    return [] if parts else [annotation]


def _as_written(loc: tuple[int | str, ...], known: list[str]) -> str:
    """Remove the tags from a key by which pydantic tells the kinds of a section apart."""
    if not loc:
        return "settings"
    key = ""
    for part in loc[:-1]:
        longer = f"{key}.{part}" if key else str(part)
        key = longer if longer in known or not key else key
    return f"{key}.{loc[-1]}" if key else ".".join(map(str, loc[-1:]))


def _known_keys(annotation: Any, prefix: str = "") -> list[str]:
    """List the dotted names of all settings, including optional sections and every kind."""
    if not (isinstance(annotation, type) and issubclass(annotation, BaseModel)):
        inner = [_known_keys(argument, prefix) for argument in get_args(annotation)]
        return list(dict.fromkeys(key for keys in inner for key in keys))
    keys = []
    for name, field in annotation.model_fields.items():
        keys += [prefix + name, *_known_keys(field.annotation, f"{prefix}{name}.")]
    return keys
