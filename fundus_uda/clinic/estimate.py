"""How well networks fit photographs without labels, by the estimate of `trust`."""

from pathlib import Path

import numpy as np
import torch

from fundus_uda.anatomy import without_specks
from fundus_uda.clinic.trust import trust
from fundus_uda.data.datasets import load_samples
from fundus_uda.data.samples import without_masks
from fundus_uda.model import load_model
from fundus_uda.prediction import predictions

MOST = 64
"""Photographs, evenly spread, are enough for a mean."""


def estimated_dice(model: Path, target: str, device: torch.device) -> float:
    """The mean of `trust.trust`'s estimate, over the photographs of a target.

    All networks predict alike for it, with `data.flips` and `data.convex_cup`.

    Args:
        model: a run folder or a checkpoint.
        target: an address; its masks are not read.
        device: where to predict.
    """
    loaded = load_model(model.expanduser(), device)
    data = loaded.settings.data.model_copy(update={"flips": True, "convex_cup": True})
    settings = loaded.settings.model_copy(update={"data": data})
    samples = without_masks(load_samples(target))
    some = samples[:: -(-len(samples) // MOST)]
    estimates = [
        trust(photograph, without_specks(seen.mask), seen)["estimated_dice"]
        for _, photograph, seen in predictions(loaded.segmenter, settings, some, device)
    ]
    return float(np.mean(estimates))
