import re

import numpy as np
import pytest
from scipy.spatial import cKDTree
from skimage.measure import find_contours

from fundus_uda.masks.outlines import CUP_COLOUR, DISC_COLOUR, overlay, smooth_outlines, svg_path
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


def test_a_smaller_picture_gets_a_smaller_outline():
    structure = np.zeros((100, 200), dtype=bool)
    structure[20:60, 50:150] = True
    points = corners(svg_path(structure, (50, 100)))
    assert points.min(axis=0) == pytest.approx((25, 10), abs=0.5)
    assert points.max(axis=0) == pytest.approx((75, 30), abs=0.5)


def jagged(seed=0, shape=(300, 400)):
    """An ellipse whose edge goes in and out by a few pixels, as a network's may."""
    y, x = np.mgrid[: shape[0], : shape[1]]
    angle = np.arctan2(y - 150, x - 200)
    waves = sum(np.sin(k * angle + seed * k) / k for k in (5, 9, 17, 40))
    return np.hypot((y - 150) / 100, (x - 200) / 140) < 1 + 0.03 * waves


def contour_of(structure):
    """The mask's own contour, densely."""
    (contour,) = find_contours(np.pad(structure, 1).astype(float), 0.5)
    steps = np.linspace(0, 1, 20, endpoint=False)[:, None, None]
    return (contour[:-1] * (1 - steps) + contour[1:] * steps).reshape(-1, 2)[:, ::-1] - 0.5


def turns(line):
    """Angles in degrees between successive parts of a closed line, over a pixel and a half."""
    parts = np.diff(np.vstack([line, line[:1]])[::3], axis=0)
    angle = np.degrees(np.arctan2(parts[:, 1], parts[:, 0]))
    return np.abs((np.diff(angle) + 180) % 360 - 180)


@pytest.mark.parametrize(
    "structure",
    [ellipses((60, 80)) > 0, ellipses((9, 12)) > 0, jagged(), jagged(1), np.ones((30, 40), bool)],
    ids=["disc", "small", "jagged", "jagged too", "rectangle"],
)
def test_a_smooth_outline_stays_within_half_a_pixel_of_the_masks(structure):
    (line,) = smooth_outlines(structure)
    apart, _ = cKDTree(contour_of(structure)).query(line)
    assert apart.max() <= 0.5 + 0.02  # of the sampling
    back, _ = cKDTree(line).query(contour_of(structure))
    assert back.max() <= 1.0  # at the rectangle's corners


def test_the_outline_of_a_round_structure_has_no_corners():
    structure = ellipses((60, 80)) > 0
    (line,) = smooth_outlines(structure)
    assert turns(line).max() < 4
    (contour,) = find_contours(structure.astype(float), 0.5)
    assert turns(contour[:-1]).max() >= 20
    assert np.hypot(*np.diff(line, axis=0).T).max() < 1
    centre_and_radii = (np.array([150, 100]), np.array([80, 60]))
    radius = np.hypot(*((line - centre_and_radii[0]) / centre_and_radii[1]).T)
    assert radius == pytest.approx(np.ones(len(radius)), abs=0.012)  # it does not shrink


def test_small_holes_are_not_drawn_and_large_ones_are():
    disc = ellipses((60, 60)) > 0
    disc[100:104, 150:154] = False
    assert svg_path(disc, disc.shape).count("M") == 1
    disc[80:120, 130:170] = False
    assert svg_path(disc, disc.shape).count("M") == 2


def test_a_path_is_the_smooth_outline():
    structure = jagged()
    (line,) = smooth_outlines(structure)
    points = corners(svg_path(structure, structure.shape))
    apart, _ = cKDTree(line).query(points)
    assert apart.max() < 400 / 4000 + 0.25  # half a step of the outline's points
    assert len(points) < len(line) / 3


def test_parts_at_the_frame_are_closed_and_nothing_is_empty():
    structure = np.zeros((40, 40), dtype=bool)
    assert svg_path(structure, (40, 40)) == ""
    structure[:10, :10] = structure[20:30, 30:] = True
    path = svg_path(structure, (40, 40))
    assert path.count("M") == path.count("Z") == 2
    assert corners(path).min() == pytest.approx(0, abs=0.5)


@pytest.mark.parametrize("scale", [1, 2])
def test_overlay_outlines_disc_and_cup_and_leaves_the_rest(scale):
    mask = ellipses((60, 30), (30, 20))
    photograph = np.full((200 * scale, 300 * scale, 3), 99, dtype=np.uint8)
    drawn = overlay(photograph, mask)
    changed = (drawn != photograph).any(axis=2)
    assert changed.mean() < 0.05
    for (row, column), colour in (((100, 120), DISC_COLOUR), ((70, 150), CUP_COLOUR)):
        place = drawn[scale * row - 2 : scale * row + 3, scale * column - 2 : scale * column + 3]
        assert (place.reshape(-1, 3) == colour).all(axis=1).any()  # left of the disc, top of cup
    assert tuple(drawn[100 * scale, 150 * scale]) == (99, 99, 99)


def test_the_edges_of_a_drawn_line_are_soft():
    photograph = np.zeros((200, 300, 3), dtype=np.uint8)
    green = overlay(photograph, ellipses((60, 80)))[..., 1]
    assert len(np.unique(green)) > 8


def test_overlay_of_an_empty_mask_is_the_photograph():
    photograph = np.random.default_rng(0).integers(0, 255, (20, 30, 3)).astype(np.uint8)
    assert np.array_equal(overlay(photograph, np.zeros((20, 30), dtype=np.uint8)), photograph)
