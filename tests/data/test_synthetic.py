import numpy as np
import pytest

from fundus_uda.data.datasets import load_samples
from fundus_uda.data.mask_files import read_mask
from fundus_uda.data.photograph_files import read_photograph
from fundus_uda.data.synthetic import CAMERAS, render, write_camera


@pytest.mark.parametrize("camera", CAMERAS)
def test_masks_are_exact_and_plausible(camera):
    for seed in range(20):
        image, mask = render(camera, seed, 64)
        assert image.shape == (64, 64, 3)
        assert image.dtype == mask.dtype == np.uint8
        assert set(np.unique(mask)) == {0, 1, 2}
        disc, cup = (mask > 0).mean(), (mask == 2).mean()
        assert 0.08 < disc < 0.55
        assert 0.05 < cup / disc < 0.75
        assert mask[0].max() == mask[-1].max() == mask[:, 0].max() == mask[:, -1].max() == 0
        brightness = image.mean(axis=2)
        assert brightness[mask > 0].mean() > brightness[mask == 0].mean()
        assert brightness[mask == 2].mean() > brightness[mask == 1].mean()


def test_cameras_differ_visibly():
    colour = {
        camera: np.mean(
            [render(camera, seed, 64)[0].mean(axis=(0, 1)) for seed in range(8)], axis=0
        )
        for camera in CAMERAS
    }
    red_over_green = {camera: c[0] / c[1] for camera, c in colour.items()}
    assert red_over_green["a"] > 1.4 > 1.3 > red_over_green["b"]
    disc = {c: np.mean([(render(c, s, 64)[1] > 0).mean() for s in range(8)]) for c in CAMERAS}
    assert disc["b"] > 1.2 * disc["a"]


def test_the_same_seed_gives_the_same_picture():
    for one, other in zip(render("a", 3, 64), render("a", 3, 64), strict=True):
        assert np.array_equal(one, other)
    assert not np.array_equal(render("a", 3, 64)[0], render("a", 4, 64)[0])


def test_what_is_written_is_read_back(tmp_path):
    write_camera(tmp_path, "b", count=2, size=64, first_seed=5)
    samples = load_samples(f"folder:{tmp_path}")
    assert [sample.id for sample in samples] == ["b0005", "b0006"]
    image, mask = render("b", 6, 64)
    assert np.array_equal(read_photograph(samples[1].image).permute(1, 2, 0).numpy(), image)
    assert np.array_equal(read_mask(samples[1])[0], mask)
