"""Outlines as LabelMe's JSON, there and back."""

import json

import numpy as np
import pytest

from fundus_uda.errors import InputError
from fundus_uda.masks.dice import dice_cup_disc
from fundus_uda.masks.labelme import labelme_text, read_mask_labelme
from tests.fixtures.shapes import ellipses


def test_an_outline_comes_back(tmp_path):
    mask = ellipses((60, 50), (30, 25), cup_shift=(5, 3))
    (tmp_path / "eye.json").write_text(labelme_text(mask, "eye.png"))
    back, clipped = read_mask_labelme(tmp_path / "eye.json")
    assert min(dice_cup_disc(back, mask)) > 0.995
    assert clipped == 0
    moved = np.argwhere(back > 0).mean(0) - np.argwhere(mask > 0).mean(0)
    assert np.abs(moved).max() < 0.1  # not by half a pixel


def test_the_file_has_the_keys_of_labelme():
    told = json.loads(labelme_text(ellipses((60, 50), (30, 25)), "eye.png"))
    assert (told["imageHeight"], told["imageWidth"], told["imagePath"]) == (200, 300, "eye.png")
    assert [shape["label"] for shape in told["shapes"]] == ["optic disc", "optic cup"]
    assert {shape["shape_type"] for shape in told["shapes"]} == {"polygon"}
    x, y = np.array(told["shapes"][0]["points"]).T
    assert [x.min(), x.max()] == pytest.approx([100, 200], abs=1)
    assert [y.min(), y.max()] == pytest.approx([40, 160], abs=1)


def test_pixels_are_counted_from_the_corner(tmp_path):
    square = {"label": "Disc", "shape_type": "polygon", "points": [[1, 2], [4, 2], [4, 6], [1, 6]]}
    text = json.dumps({"shapes": [square], "imageHeight": 8, "imageWidth": 6})
    (tmp_path / "eye.json").write_text(text)
    mask, _ = read_mask_labelme(tmp_path / "eye.json")
    expected = np.zeros((8, 6), np.uint8)
    expected[2:6, 1:4] = 1
    assert mask.tolist() == expected.tolist()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"shapes": []}, "polygon with the label 'optic disc' in .*eye.json. Got: none"),
        ({"shapes": [{"label": "vessel", "shape_type": "polygon", "points": []}]}, "'vessel'"),
        ({"shapes": [{"label": "disc", "shape_type": "circle", "points": []}]}, "Got: a circle"),
        ({"shapes": [{"label": "disc", "shape_type": "polygon", "points": [[1, 1]]}]}, "three"),
        ({"imageHeight": 10**9}, "height and width of a picture"),
        ({"imageWidth": None}, "JSON of LabelMe at .*eye.json. Got: TypeError"),
    ],
)
def test_another_file_is_refused(changes, message, tmp_path):
    told = json.loads(labelme_text(ellipses((60, 50)), "eye.png"))
    (tmp_path / "eye.json").write_text(json.dumps(told | changes))
    with pytest.raises(InputError, match=message):
        read_mask_labelme(tmp_path / "eye.json")
