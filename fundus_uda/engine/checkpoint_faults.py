"""Faults of what is in a checkpoint of the right outer form, which a stranger may have written."""

from typing import Any

import torch
from torch.optim import Optimizer

from fundus_uda.engine.methods import METHODS
from fundus_uda.engine.state import State


def fault_beside_the_state(contents: dict[str, Any]) -> str:
    """Say what is wrong with the types of a checkpoint's other parts; "" if nothing is."""
    settings, data, classes = (contents[name] for name in ("settings", "data", "classes"))
    if not isinstance(settings, dict) or not _is_plain(settings):
        return "settings that are not named texts and numbers"
    if not isinstance(data, dict) or not all(isinstance(v, str) for kv in data.items() for v in kv):
        return "fingerprints that are not texts"
    if type(classes) is not int or classes < 0:
        return "a number of classes that is none"
    method = settings.get("method")
    if classes and not (isinstance(method, str) and method in METHODS):
        return f"the method {method!r}"
    return ""


def _is_plain(value: Any) -> bool:
    """Check for what JSON can hold, in mappings by texts."""
    if isinstance(value, dict):
        return all(isinstance(key, str) and _is_plain(held) for key, held in value.items())
    if isinstance(value, list):
        return all(map(_is_plain, value))
    return value is None or isinstance(value, str | int | float)


def fault_of_state(state: dict[Any, Any], weights: Any, classes: int) -> str:
    """Say what is wrong with the types of a run's state; "" if nothing is.

    Args:
        state: what `State.state_dict` returned, perhaps.
        weights: part of it that holds the network; not looked at without classes.
        classes: number of classes of the network; 0 for none.
    """
    if not all(isinstance(key, str) for key in state):
        return "parts that are not named"
    if type(state["step"]) is not int or state["step"] < 0:
        return "a step that is no number"
    if not classes:
        return ""
    shares = state.get("label_shares")
    if not isinstance(shares, torch.Tensor) or shares.shape != (classes,):
        return "no share of each class in the labels"
    selection = [state.get(name) for name in ("selected_step", "selected_score")]
    thresholds = state.get("class_thresholds")
    if not all(isinstance(value, int | float | None) for value in selection) or not (
        thresholds is None or getattr(thresholds, "shape", None) == shares.shape
    ):
        return "a selection that is none"
    if not isinstance(weights, dict) or not all(
        isinstance(name, str) and isinstance(tensor, torch.Tensor)
        for name, tensor in weights.items()
    ):
        return "weights that are no named tensors"
    if not all(tensor.isfinite().all() for tensor in weights.values()):
        return "weights that are not finite"
    return ""


def load_fitting(state: State, saved: dict[str, Any]) -> None:
    """Fill a state, and check what `Optimizer.load_state_dict` takes from a file as it is.

    Raises:
        ValueError: other settings of an optimiser, or a tensor that is not of its parameter's
            shape.
        Exception: see `State.load_state_dict`.
    """
    optimizers = [part for part in vars(state).values() if isinstance(part, Optimizer)]
    ours = [_fixed_settings(optimizer) for optimizer in optimizers]
    state.load_state_dict(saved)
    for optimizer, groups in zip(optimizers, ours, strict=True):
        for theirs, group in zip(_fixed_settings(optimizer), groups, strict=True):
            if any(theirs[key] != group[key] for key in theirs.keys() & group.keys()):
                raise ValueError("other settings of an optimiser")
        for parameter, kept in optimizer.state.items():
            for value in kept.values():
                if isinstance(value, torch.Tensor) and value.shape not in (parameter.shape, ()):
                    raise ValueError("an optimiser of another network")


def _fixed_settings(optimizer: Optimizer) -> list[dict[str, Any]]:
    """Return what the settings fix of an optimiser's groups: all but rates and parameters."""
    return [
        {key: value for key, value in group.items() if key not in ("lr", "params")}
        for group in optimizer.state_dict()["param_groups"]
    ]
