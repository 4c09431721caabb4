import numpy as np
import pytest

from fundus_uda.rendering.anatomy import ANGLES, Outline
from fundus_uda.rendering.vessels import STEPS, draw_vessels, grow_trees
from fundus_uda.rendering.view import View

CUP = Outline(0.1, 0.0, np.full(ANGLES, 0.5, np.float32))
WALL = np.full(ANGLES, 0.3, np.float32)
WHOLE = View(size=128, side=12.0, centre=(2.4, 0.3), turn=0.0, left=True)
FOVEA = (4.7, 0.6)


def grown(seed, view=WHOLE):
    return grow_trees(np.random.default_rng(seed), CUP, WALL, FOVEA, view)


def test_large_vessels_leave_the_cup_up_and_down_and_pass_around_the_fovea():
    for seed in range(5):
        main = grown(seed)[0][0]
        points = main.points[:, main.course.temporal]
        assert {-1.0, 1.0} == set(np.sign(points[STEPS // 3, :, 1]))
        beside = np.abs(points[..., 0] - FOVEA[0]) < 0.3
        distance = np.abs(points[..., 1] - FOVEA[1])[beside]
        assert np.median(distance) > 1.5


def test_branches_are_thinner_than_their_parents_and_start_on_them():
    main, branches, _ = grown(0)[0]
    on_a_parent = np.linalg.norm(
        main.points[:, :, None] - branches.course.start[None, None], axis=-1
    ).min(axis=(0, 1))
    assert on_a_parent == pytest.approx(np.zeros(len(on_a_parent)), abs=1e-9)
    assert branches.course.width.max() < main.course.width.max()
    assert (np.diff(main.widths, axis=0) <= 1e-12).all()


def test_veins_and_arteries_are_drawn_apart_and_reflexes_upon_them():
    trees, shift = grown(0)
    depth = np.zeros((128, 128), np.float32)
    veins, arteries, reflex = draw_vessels(trees, WHOLE, shift, depth)
    for drawn in (veins, arteries, reflex):
        assert drawn.shape == (128, 128)
        assert 0 <= drawn.min() < 0.01
        assert 0.3 < drawn.max() <= 1
    assert reflex.mean() < 0.5 * (veins.mean() + arteries.mean())
    assert (np.maximum(veins, arteries)[reflex > 0.5] > 0.1).mean() > 0.95


def test_the_depth_of_the_cup_moves_the_vessels_in_it_alone():
    trees, _ = grown(0)
    shift = np.array([-0.3, 0.0])
    flat, deep = np.zeros((128, 128), np.float32), np.ones((128, 128), np.float32)
    inside = np.zeros((128, 128), np.float32)
    inside[50:70, 30:50] = 1
    drawn = [draw_vessels(trees, WHOLE, shift, depth)[0] for depth in (flat, deep, inside)]
    assert not np.array_equal(drawn[0], drawn[1])
    far = np.s_[:, 90:]
    assert np.array_equal(drawn[0][far], drawn[2][far])
