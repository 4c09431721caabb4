"""Adapt optic disc and cup segmentation to another camera, without target labels.

From Python: `fundus_uda.adapt`, `evaluate`, `load_model`, `predict` (see `fundus_uda.api`) and
`load_samples`. They are loaded when first asked for, since they import torch and MONAI.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fundus_uda.api import adapt, evaluate, load_model, predict
    from fundus_uda.data.datasets import load_samples

__all__ = ["__version__", "adapt", "evaluate", "load_model", "load_samples", "predict"]
__version__ = "0.1.0"

_FUNCTIONS = {
    "adapt": "fundus_uda.api",
    "evaluate": "fundus_uda.api",
    "load_model": "fundus_uda.api",
    "load_samples": "fundus_uda.data.datasets",
    "predict": "fundus_uda.api",
}
"""Functions of the package, and the module of each."""


def __getattr__(name: str) -> Any:
    """Load a function of the package from its module."""
    if name not in _FUNCTIONS:
        raise AttributeError(f"module 'fundus_uda' has no attribute {name!r}")
    return getattr(importlib.import_module(_FUNCTIONS[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *_FUNCTIONS})
