import numpy as np
import pytest

from roadscene.classes import CLASSES
from roadscene.data import load_frames, read_label, require_labels
from roadscene.synthetic import render, write_split


@pytest.mark.parametrize("style", ["day", "dusk"])
def test_a_street_is_a_function_of_style_seed_and_size(style):
    image, label = render(style, 3, (64, 96))
    again = render(style, 3, (64, 96))
    assert image.shape == (64, 96, 3)
    assert label.shape == (64, 96)
    assert image.dtype == label.dtype == np.uint8
    assert np.array_equal(image, again[0])
    assert np.array_equal(label, again[1])
    assert not np.array_equal(label, render(style, 4, (64, 96))[1])
    assert set(np.unique(label)) <= {c.cityscapes for c in CLASSES}


def test_styles_show_the_same_classes_in_other_colours():
    shares, brightness = [], []
    for style in ("day", "dusk"):
        streets = [render(style, seed, (64, 96)) for seed in range(20)]
        labels = np.stack([label for _, label in streets])
        shares.append(np.bincount(labels.ravel(), minlength=34) / labels.size)
        brightness.append(np.mean([image.mean() for image, _ in streets]))
    assert np.abs(shares[0] - shares[1]).max() < 0.06
    assert set(np.flatnonzero(shares[0])) == set(np.flatnonzero(shares[1]))
    assert brightness[1] < 0.8 * brightness[0]


def test_split_is_in_the_layout_of_cityscapes(tmp_path):
    write_split(tmp_path, "val", "dusk", count=2, size=(32, 64), first_seed=7)
    frames = require_labels(load_frames(f"cityscapes:{tmp_path}#val"), "x")
    assert [f.id for f in frames] == ["dusk_000007_000000", "dusk_000008_000000"]
    assert read_label(frames[0], 19).max() < 19
