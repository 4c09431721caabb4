"""The rule by which a stage is kept, by hand."""

import re
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from fundus_uda.data.samples import Sample
from fundus_uda.masks.classes import CUP, RIM
from fundus_uda.recipe import judging
from fundus_uda.recipe.judging import COLLAPSED, reason_to_reject


def judged(estimates=(0.8, 0.8), disc=0.4, cup=0.2, sizes_not_matched=""):
    """A network whose source has discs of 0.3 and cups of 0.1."""
    source = {"source_disc_share": 0.3, "source_cup_share": 0.1, "collapsed": False}
    shares = {"disc_share": disc, "cup_share": cup, "sizes_not_matched": sizes_not_matched}
    estimates = np.array(estimates)
    return {"estimates": estimates, "estimated_dice": estimates.mean(), **shares, **source}


@pytest.mark.parametrize(
    ("after", "kept"),
    [
        ((0.81, 0.83), True),  # by 0.02, with a standard error of 0.01
        ((0.79, 0.83), False),  # by 0.01, with one of 0.02
        ((0.79, 0.79), False),
    ],
)
def test_a_rise_of_the_estimate_must_exceed_its_standard_error(after, kept):
    assert (reason_to_reject(judged(after), judged(), 0) == "") is kept


def test_the_estimate_of_one_photograph_must_rise():
    assert reason_to_reject(judged([0.81]), judged([0.8]), 0) == ""
    assert reason_to_reject(judged([0.8]), judged([0.8]), 0).startswith("Without labels")


@pytest.mark.parametrize(
    ("before", "after", "reason"),
    [
        ((0.4, 0.2), (0.355, 0.2), "Its discs are -11 % in area, towards the source's"),
        ((0.4, 0.2), (0.365, 0.2), ""),  # by less than a tenth
        ((0.4, 0.2), (0.45, 0.23), ""),  # away from the source
        ((0.4, 0.2), (0.4, 0.17), "Its cups are -15 %"),
        ((0.2, 0.05), (0.2, 0.06), r"Its cups are \+20 %"),
        ((0.0, 0.0), (0.2, 0.05), ""),  # the network before found nothing
    ],
)
def test_sizes_that_were_not_matched_must_not_move_to_the_sources(before, after, reason):
    higher = (0.9, 0.9)
    told = reason_to_reject(judged(higher, *after, "few discs"), judged((0.8, 0.8), *before), 0)
    assert re.match(reason, told) if reason else told == ""
    assert reason_to_reject(judged(higher, *after), judged((0.8, 0.8), *before), 0) == ""


def test_five_outlined_photographs_decide_in_place_of_the_estimate():
    before = judged() | {"outlined_dice": 0.9}
    worse_by_estimate = judged((0.7, 0.7), disc=0.3, sizes_not_matched="few discs")
    level, lower = (worse_by_estimate | {"outlined_dice": dice} for dice in (0.9, 0.89))
    assert reason_to_reject(level, before, 5) == ""
    assert reason_to_reject(lower, before, 5) == (
        "Its Dice on the 5 outlined photographs is 0.8900, and 0.9000 with the network before it."
    )
    assert reason_to_reject(level | {"collapsed": True}, before, 5) == COLLAPSED
    assert reason_to_reject(level, before, 4).startswith("Its discs are -25 % in area")


@pytest.mark.parametrize(("has_cup", "dice"), [(True, 0.75), (False, 1.0)])
def test_a_cup_that_is_not_outlined_does_not_count(has_cup, dice, tmp_path, monkeypatch):
    """A network that draws the right disc, with a cup of a third of the outlined one's area."""
    mask = np.zeros((64, 64), np.uint8)
    mask[16:48, 16:48] = RIM
    drawn = mask.copy()
    drawn[24:30, 24:40] = CUP
    mask[24:42, 24:40] = CUP if has_cup else RIM
    photograph, outlines = tmp_path / "photograph.png", tmp_path / "mask.png"
    Image.fromarray(mask).save(outlines)
    Image.fromarray(np.zeros((64, 64, 3), np.uint8)).save(photograph)
    monkeypatch.setattr(judging, "comparable", lambda model: model)
    monkeypatch.setattr(judging, "outline", lambda *_: SimpleNamespace(mask=drawn))
    samples = [Sample("a", photograph, (outlines,), "labels")]
    assert judging._mean_dice(None, samples) == pytest.approx(dice)
