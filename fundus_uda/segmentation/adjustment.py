"""Adjustment of a network's outlines to those of readers: two numbers, from a few photographs.

Where the edge of a disc or a cup is drawn is a convention, which readers of two sets do not share,
and which photographs without outlines cannot tell. It moves all borders of a set the same way, as
two biases of the network's last layer do (which Menon et al., ICLR 2021, change by the classes'
priors: logit adjustment).
"""

from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from fundus_uda.data.photograph_files import read_sample
from fundus_uda.data.samples import Sample
from fundus_uda.data.transforms import content_box, fixed_transforms
from fundus_uda.engine.checkpoint import Checkpoint, state_of_network, write_checkpoint
from fundus_uda.engine.fingerprint import fingerprint_files
from fundus_uda.engine.model_path import checkpoint_file
from fundus_uda.masks.classes import BACKGROUND, CUP, Mask
from fundus_uda.segmentation.model import Model, read_network
from fundus_uda.segmentation.settings import LEARN_NO_OUTLINES

FEWEST = 5
"""Fewest outlined photographs that tell where a reader draws; fewer were not measured."""
LAST_BIAS = "segmentation_head.0.bias"
"""Parameter (3,) of DeepLabv3+ that is added to the logits of background, rim and cup."""
_LEAST = 1e-12
"""Least probability, so that all odds are finite."""


class Adjustment(NamedTuple):
    """Log-odds that are added at every pixel."""

    disc: float
    """Of disc against background."""
    cup: float
    """Of cup against rim."""

    @property
    def bias(self) -> Tensor:
        """Return what is added to the logits of background, rim and cup, (3,) float32."""
        return torch.tensor([0.0, self.disc, self.disc + self.cup])


def fit_adjustment(model: Model, samples: list[Sample]) -> Adjustment:
    """Fit the adjustment of a network to outlines, as far as these agree (see `agreed`).

    Args:
        model: trained model.
        samples: photographs with masks, around the disc or to be cropped around it (see
            `read_sample`), at least `FEWEST` for an adjustment.

    Returns:
        Zeros where the photographs do not agree, or are too few.

    Raises:
        InputError: a photograph or mask that cannot be read.
    """
    fixed = fixed_transforms(model.settings.data.size)
    rows = []
    for sample in samples:
        item = read_sample(sample)
        photograph = item["image"].permute(1, 2, 0).numpy()
        views = model.views(photograph[None], flips=model.settings.data.tta_flips)
        # The views' log-odds, not those of their mean, are what a bias is added to.
        logits = views[:, 0].clamp(min=_LEAST).log().mean(0).cpu().numpy()
        label = fixed({"label": item["label"]})["label"][0].numpy()
        height, width = photograph.shape[:2]
        box = content_box(height, width, model.settings.data.size)
        rows.append(adjustment_of(logits, label[box]))
    shifts = np.array(rows)
    return Adjustment(agreed(shifts[:, 0]), agreed(shifts[:, 1]))


def adjustment_of(logits: NDArray[np.float32], label: Mask) -> Adjustment:
    """Compute the adjustment by which disc and cup have the areas of a photograph's outlines.

    Args:
        logits: (3, H, W) of background, rim and cup.
        label: (H, W) in {0, 1, 2}.

    Returns:
        That of the cup is fitted inside the adjusted disc. (It moves the disc's edge as well, by
        little, since a cup hardly ever reaches it.) NaN for a structure that is not outlined, or
        fills all that it may.
    """
    background, rim, cup = logits
    disc_odds = np.logaddexp(rim, cup) - background
    disc = _shift(disc_odds, (label != BACKGROUND).sum())
    if np.isnan(disc):
        return Adjustment(disc, np.nan)
    inside = disc_odds + disc > 0
    return Adjustment(disc, _shift((cup - rim)[inside], (label == CUP).sum()))


def _shift(odds: NDArray[np.float32], area: int) -> float:
    """Return what makes that many of the log-odds positive; NaN for none or all of them."""
    if not 0 < area < odds.size:
        return float("nan")
    around = np.partition(odds.ravel(), (-area - 1, -area))[[-area - 1, -area]]
    return -float(around.mean())


def agreed(shifts: NDArray[np.float64]) -> float:
    """Compute the mean of shifts, shrunk towards none by their disagreement.

    It is (1 - error² / mean²) mean, with the standard error of the mean, and 0 where the mean is no
    larger than that: the shrinkage of the non-negative garrote (Breiman, Technometrics 1995).

    Args:
        shifts: (n,); those that are NaN are left out.

    Returns:
        0 for fewer than `FEWEST`.
    """
    shifts = shifts[np.isfinite(shifts)]
    if len(shifts) < FEWEST:
        return 0.0
    mean, error = shifts.mean(), shifts.std(ddof=1) / np.sqrt(len(shifts))
    return float(mean * (1 - (error / mean) ** 2)) if abs(mean) > error else 0.0


def write_adjusted(path: Path, by: Adjustment, samples: list[Sample], uri: str, out: Path) -> None:
    """Write the network of a run again, adjusted, as a run that goes on from it.

    Args:
        path: run folder, or file of a network, but of ONNX.
        by: adjustment.
        samples: photographs that it was fitted to.
        uri: their data URI.
        out: checkpoint to write.

    Raises:
        InputError: see `read_network`.
        WriteError: it cannot be written.
    """
    theirs = read_network(checkpoint_file(path))
    weights = {**theirs.weights, LAST_BIAS: theirs.weights[LAST_BIAS].float() + by.bias}
    settings = theirs.settings | {"start": str(path)}
    if settings["method"] not in LEARN_NO_OUTLINES:
        settings["data"] = settings["data"] | {"outlined": uri}
    seen = fingerprint_files((sample.id, sample.image, sample.masks) for sample in samples)
    adjusted = Checkpoint(
        state_of_network(weights, theirs.step, theirs.label_shares),
        settings,
        theirs.data | {"outlined": seen},
        theirs.classes,
    )
    write_checkpoint(out, adjusted)
