import numpy as np
import pytest

from fundus_uda.rendering.anatomy import (
    ANGLES,
    WIDEST_CUP,
    Outline,
    angles,
    at_turn,
    cup_depth,
    draw_disc_and_cup,
    fit_cup,
    notched,
    rough_ellipse,
)

CIRCLE = np.ones(ANGLES, np.float32)


def test_level_of_an_ellipse_is_its_equation():
    rng = np.random.default_rng(0)
    outline = Outline(0.3, -0.2, rough_ellipse(rng, height=2.0, width=1.0, tilt=0.0, roughness=0))
    x, y = rng.uniform(-2, 2, (2, 200)).astype(np.float32)
    expected = np.hypot((x - 0.3) / 0.5, y + 0.2)
    assert outline.level(x, y) == pytest.approx(expected, abs=1e-3)
    assert outline.height() == pytest.approx(2.0, abs=1e-4)


def test_values_at_an_angle_are_interpolated_around_the_circle():
    values = np.cos(angles()).astype(np.float32)
    turn = np.array([0, 0.1234, 0.5, 0.9999], np.float32)
    assert at_turn(values, turn) == pytest.approx(np.cos(2 * np.pi * turn), abs=1e-4)


@pytest.mark.parametrize("ratio", [0.1, 0.5, 0.8, 0.98])
@pytest.mark.parametrize("aim", [(0.0, 0.0), (0.7, -0.6)])
def test_a_cup_has_its_ratio_and_stays_in_the_disc(ratio, aim):
    disc = Outline(0.0, 0.0, rough_ellipse(np.random.default_rng(1), 1.9, 1.6, 0.3, 0.02))
    shape = notched(CIRCLE, at=np.pi / 2, depth=0.3, width=0.5)
    cup = fit_cup(disc, shape, ratio, aim)
    assert cup.height() / disc.height() == pytest.approx(ratio, abs=0.02)
    points = cup.points().astype(np.float32)
    assert disc.level(points[:, 0], points[:, 1]).max() < WIDEST_CUP + 1e-3


def test_the_cup_falls_from_its_edge_to_its_floor():
    cup = Outline(0.0, 0.0, CIRCLE)
    x = np.linspace(0, 2, 201).astype(np.float32)
    steep, sloping = (
        cup_depth(*cup.polar(x, np.zeros_like(x)), np.full(ANGLES, wall, np.float32))
        for wall in (0.1, 0.9)
    )
    for depth in (steep, sloping):
        assert depth[0] == 1
        assert depth[-1] == 0
        assert (np.diff(depth) <= 1e-6).all()
        assert depth[100] == pytest.approx(0.5, abs=0.01)
    assert np.ptp(x[(steep > 0.05) & (steep < 0.95)]) < 0.1
    assert np.ptp(x[(sloping > 0.05) & (sloping < 0.95)]) > 0.5


def test_discs_have_the_sizes_of_anatomy():
    heights = [
        draw_disc_and_cup(np.random.default_rng(seed), (0.2, 0.8))[0].height()
        for seed in range(100)
    ]
    assert np.mean(heights) == pytest.approx(1.92, abs=0.1)
    assert 1.1 < min(heights) < max(heights) < 2.9
