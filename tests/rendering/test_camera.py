import numpy as np
import pytest

from fundus_uda.rendering.camera import develop, draw_camera, expose
from fundus_uda.rendering.view import View

VIEW = View(size=64, side=3.0, centre=(0.0, 0.0), turn=0.0, left=True)
GREY = np.full((3, 64, 64), 0.5, np.float32)
DISC = np.zeros((64, 64), np.float32)
DISC[20:44, 20:44] = 1


def camera(seed, whole=False):
    return draw_camera(np.random.default_rng(seed), VIEW, GREY, DISC, whole)


def taken(light, of, seed=0):
    return develop(expose(np.random.default_rng(seed), light, of)).astype(float)


def test_a_perfect_camera_shows_a_plain_surface_plain():
    photograph = taken(GREY, next(c for s in range(9) if (c := camera(s).perfect()).field[2] == 3))
    assert photograph.std(axis=(0, 1)).max() < 1
    red, green, blue = photograph.mean(axis=(0, 1))
    assert red > green > blue


def test_a_real_one_adds_noise_and_uneven_light():
    for seed in range(5):
        assert taken(GREY, camera(seed)).std(axis=(0, 1)).max() > 1


def test_exposure_is_set_by_the_disc_whatever_its_reflectance():
    for seed in range(5):
        darker = draw_camera(np.random.default_rng(seed), VIEW, GREY / 4, DISC, False)
        assert darker.gain == pytest.approx(4 * camera(seed).gain)


def test_a_whole_field_is_black_beyond_its_border():
    photograph = taken(GREY, camera(0, whole=True))
    assert photograph[:4, :4].max() < 30 < photograph[30:34, 30:34, 0].min()
