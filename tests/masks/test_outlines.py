import re

import numpy as np
import pytest

from fundus_uda.masks.outlines import CUP_COLOUR, DISC_COLOUR, overlay, svg_path
from tests.fixtures.shapes import ellipses


def corners(path):
    pairs = re.findall(r"([\d.-]+) ([\d.-]+)", path)
    return np.array(pairs, dtype=float)


def test_a_rectangle_is_outlined_where_it_lies():
    structure = np.zeros((100, 200), dtype=bool)
    structure[20:60, 50:150] = True
    points = corners(svg_path(structure, (100, 200)))
    assert points.min(axis=0) == pytest.approx((50, 20), abs=0.5)  # x before y
    assert points.max(axis=0) == pytest.approx((150, 60), abs=0.5)
    assert len(points) <= 8


def test_a_smaller_picture_gets_a_smaller_outline():
    structure = np.zeros((100, 200), dtype=bool)
    structure[20:60, 50:150] = True
    points = corners(svg_path(structure, (50, 100)))
    assert points.min(axis=0) == pytest.approx((25, 10), abs=0.5)
    assert points.max(axis=0) == pytest.approx((75, 30), abs=0.5)


def test_parts_at_the_frame_are_closed_and_nothing_is_empty():
    structure = np.zeros((40, 40), dtype=bool)
    assert svg_path(structure, (40, 40)) == ""
    structure[:10, :10] = structure[20:30, 30:] = True
    path = svg_path(structure, (40, 40))
    assert path.count("M") == path.count("Z") == 2
    assert corners(path).min() == pytest.approx(0, abs=0.5)


def test_overlay_outlines_disc_and_cup_and_leaves_the_rest():
    mask = ellipses((60, 30), (30, 20))
    photograph = np.full((*mask.shape, 3), 99, dtype=np.uint8)
    drawn = overlay(photograph, mask)
    changed = (drawn != photograph).any(axis=2)
    assert {tuple(c) for c in drawn[changed].tolist()} == {DISC_COLOUR, CUP_COLOUR}
    assert tuple(drawn[100, 120]) == DISC_COLOUR  # the left edge of the disc
    assert tuple(drawn[70, 150]) == CUP_COLOUR  # the top of the cup
    assert changed.sum() < 0.05 * mask.size


def test_overlay_of_an_empty_mask_is_the_photograph():
    photograph = np.random.default_rng(0).integers(0, 255, (20, 30, 3)).astype(np.uint8)
    assert np.array_equal(overlay(photograph, np.zeros((20, 30), dtype=np.uint8)), photograph)
