"""Whether a stage is kept: what is known of a network on the target, and the rule on it."""

import math
from dataclasses import asdict
from typing import Any

import numpy as np

from fundus_uda.data.datasets import load_samples
from fundus_uda.data.photograph_files import read_sample
from fundus_uda.data.samples import Sample
from fundus_uda.masks.classes import BACKGROUND, CUP
from fundus_uda.masks.dice import dice_cup_disc
from fundus_uda.segmentation.adjustment import FEWEST
from fundus_uda.segmentation.model import Model
from fundus_uda.segmentation.prediction import outline
from fundus_uda.segmentation.quality import comparable, judge
from fundus_uda.segmentation.settings import FundusSettings
from fundus_uda.segmentation.training import score_on_target

LARGEST_MOVE = 0.1
"""Largest share by which a stage may move the mean area of disc or cup towards the source's."""
COLLAPSED = "The prediction on these photographs collapsed."
"""Reason to leave out a network whose prediction lacks a class, or nearly so."""
JUDGED = ("estimated_dice", "disc_share", "cup_share", "source_disc_share", "source_cup_share")
"""Columns of `stages.csv` that `scored` gives of each network, beside those of `SelectionScore`."""


def scored(
    model: Model, settings: FundusSettings, sizes_not_matched: str, outlined: list[Sample]
) -> dict[str, Any]:
    """Score a model on the photographs of data.target without labels, and on outlined ones.

    Args:
        model: trained model.
        settings: settings of the run that names the photographs.
        sizes_not_matched: reason why the source's discs were shown as large as they are; empty if
            they were not.
        outlined: photographs with masks, which the model may have learnt; empty for none.

    Returns:
        estimates, disc_share and cup_share (see `segmentation.quality.Judgement`), estimated_dice,
        the mean of the estimates; source_disc_share and source_cup_share, those of the labels that
        the network learnt from; sizes_not_matched; the fields of `SelectionScore`; and, with
        outlined photographs, outlined_dice, the mean of their Dice of cup and disc, of the disc
        alone where no cup is outlined.
    """
    assert settings.data.target is not None
    samples = load_samples(settings.data.target)
    judgement = judge(model, samples)
    return {
        "estimated_dice": float(judgement.estimates.mean()),
        **vars(judgement),
        "source_disc_share": float(1 - model.label_shares[BACKGROUND]),
        "source_cup_share": float(model.label_shares[CUP]),
        "sizes_not_matched": sizes_not_matched,
        **asdict(score_on_target(model, samples, settings)),
        **({"outlined_dice": _mean_dice(model, outlined)} if outlined else {}),
    }


def _mean_dice(model: Model, samples: list[Sample]) -> float:
    model, dices = comparable(model), []
    for sample in samples:
        item = read_sample(sample)
        mask = outline(model, item["image"].permute(1, 2, 0).numpy()).mask
        reference = item["label"][0].numpy()
        cup, disc = dice_cup_disc(mask, reference)
        dices.append((cup + disc) / 2 if (reference == CUP).any() else disc)
    return float(np.mean(dices))


def reason_to_reject(row: dict[str, Any], before: dict[str, Any], outlined: int) -> str:
    """Return the reason to leave out a stage; empty if it is kept.

    It must not collapse. Without labels, it must raise the estimated Dice by more than the standard
    error of the photographs' differences, and where sizes could not be matched, it must not move
    them by over a tenth towards the source's, as an alignment does.

    With at least `FEWEST` outlined photographs, it must not lower their mean Dice, and nothing else
    counts: it learns from them where readers draw, which moves borders for a reason that
    photographs without outlines do not show. As it has learnt them, that guards against harm, and
    is no evidence of gain.

    Args:
        row: output of `scored` for the network of the stage.
        before: output of `scored` for the network before it, on the same photographs.
        outlined: number of outlined photographs.
    """
    if row["collapsed"]:
        return COLLAPSED
    if outlined >= FEWEST:
        if row["outlined_dice"] >= before["outlined_dice"]:
            return ""
        return (
            f"Its Dice on the {outlined} outlined photographs is {row['outlined_dice']:.4f}, and "
            f"{before['outlined_dice']:.4f} with the network before it."
        )
    for structure in ("disc", "cup"):
        share, old = row[f"{structure}_share"], before[f"{structure}_share"]
        towards_source = (share - old) * (before[f"source_{structure}_share"] - old) > 0
        if not old:  # what was not there cannot have moved
            continue
        if row["sizes_not_matched"] and towards_source and abs(share - old) > LARGEST_MOVE * old:
            change = 100 * (share / old - 1)
            return (
                f"Its {structure}s are {change:+.0f} % in area, towards the source's: it seems to "
                f"have aligned sizes, which may well differ between the two cameras."
            )
    change = row["estimates"] - before["estimates"]
    error = change.std(ddof=1) / math.sqrt(len(change)) if len(change) > 1 else 0.0
    if change.mean() > error:
        return ""
    return (
        f"Without labels, its Dice is estimated at {row['estimated_dice']:.4f}, and at "
        f"{before['estimated_dice']:.4f} with the network before it: no rise of more than the "
        f"standard error of {error:.4f}."
    )
