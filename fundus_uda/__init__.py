"""Adapt optic disc and cup segmentation to another camera, without target labels.

From Python: `from fundus_uda import adapt, load_model, predict, evaluate`. They are loaded when
first asked for, since they import torch and MONAI.
"""

import importlib
from typing import Any

__version__ = "0.1.0"

_FUNCTIONS = {
    "adapt": "fundus_uda.recipe.adapt",
    "load_model": "fundus_uda.segmentation.model",
    "load_samples": "fundus_uda.data.datasets",
    "evaluate": "fundus_uda.segmentation.evaluation",
    "predict": "fundus_uda.clinic.predict",
}
"""Functions of the package, and the module of each."""


def __getattr__(name: str) -> Any:
    """Load a function of the package from its module."""
    if name not in _FUNCTIONS:
        raise AttributeError(f"module 'fundus_uda' has no attribute {name!r}")
    return getattr(importlib.import_module(_FUNCTIONS[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *_FUNCTIONS})
