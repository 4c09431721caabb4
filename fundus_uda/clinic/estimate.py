"""How well networks fit photographs without labels, by the estimate of `trust`."""

import numpy as np
import torch

from fundus_uda.anatomy import without_specks
from fundus_uda.clinic.trust import trust
from fundus_uda.data.samples import Sample
from fundus_uda.model import Model
from fundus_uda.prediction import predictions

MOST = 64
"""Photographs, evenly spread, are enough for a mean."""


def estimated_dice(model: Model, samples: list[Sample], device: torch.device) -> float:
    """The mean of `trust.trust`'s estimate.

    All networks predict alike for it, with `data.flips` and `data.convex_cup`.

    Args:
        model: whose predictions.
        samples: photographs; masks are not read.
        device: where to predict.
    """
    data = model.settings.data.model_copy(update={"flips": True, "convex_cup": True})
    settings = model.settings.model_copy(update={"data": data})
    some = samples[:: -(-len(samples) // MOST)]
    estimates = [
        trust(photograph, without_specks(seen.mask), seen)["estimated_dice"]
        for _, photograph, seen in predictions(model.segmenter, settings, some, device)
    ]
    return float(np.mean(estimates))
