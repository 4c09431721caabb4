import re

import numpy as np
import pytest

from fundus_uda.clinic.outlines import svg_path


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
