"""The rule by which a stage is kept, by hand."""

import re

import numpy as np
import pytest

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
    assert (reason_to_reject(judged(after), judged()) == "") is kept


def test_the_estimate_of_one_photograph_must_rise():
    assert reason_to_reject(judged([0.81]), judged([0.8])) == ""
    assert reason_to_reject(judged([0.8]), judged([0.8])).startswith("Without labels")


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
    told = reason_to_reject(judged(higher, *after, "few discs"), judged((0.8, 0.8), *before))
    assert re.match(reason, told) if reason else told == ""
    assert reason_to_reject(judged(higher, *after), judged((0.8, 0.8), *before)) == ""


@pytest.mark.parametrize(
    ("after", "kept"),
    [
        ((0.9, 0.9, 0.9, 0.9, 0.9), True),
        ((0.9, 0.88, 0.9, 0.9, 0.9), True),  # lower by 0.004, with a standard error of 0.004
        ((0.88, 0.9, 0.88, 0.89, 0.9), False),  # by 0.01, with one of 0.0045
    ],
)
def test_outlined_photographs_decide_in_place_of_the_estimate(after, kept):
    def with_outlines(network, dices):
        return network | {"outlined_dices": list(dices), "outlined_dice": float(np.mean(dices))}

    before = with_outlines(judged(), (0.9,) * 5)
    told = reason_to_reject(with_outlines(judged((0.7, 0.7)), after), before)
    assert (told == "") is kept
    if not kept:
        assert told == (
            "Its Dice on the outlined photographs is 0.8900, and 0.9000 with the network before "
            "it: a fall of more than the standard error of 0.0045."
        )
    few = reason_to_reject(with_outlines(judged((0.7, 0.7)), (0.9,) * 4), before)
    assert few.startswith("Without labels")
    moved = with_outlines(judged((0.7, 0.7), disc=0.3, sizes_not_matched="few discs"), (0.9,) * 5)
    assert reason_to_reject(moved, before) == ""
    assert reason_to_reject(moved | {"collapsed": True}, before) == COLLAPSED
