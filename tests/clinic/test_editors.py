"""Outlines for annotation programs."""

import json

import numpy as np
import pytest
from PIL import Image, ImageDraw
from typer.testing import CliRunner

from cli.main import app
from fundus_uda.clinic.editors import coco_of, write_for_editors
from fundus_uda.errors import InputError
from fundus_uda.masks.labelme import read_mask_labelme
from tests.fixtures.shapes import ellipses

MASK = ellipses((60, 50), (30, 25), cup_shift=(5, 3))


@pytest.fixture
def folders(tmp_path):
    """Predictions with the mask of `eye`, and the photographs `eye` and `other`."""
    (tmp_path / "predictions" / "masks").mkdir(parents=True)
    (tmp_path / "photos").mkdir()
    Image.fromarray(MASK).save(tmp_path / "predictions" / "masks" / "eye.png")
    for name in ("eye.jpg", "other.jpg"):
        Image.new("RGB", MASK.shape[::-1]).save(tmp_path / "photos" / name)
    return tmp_path


def test_coco_is_area_box_and_polygon_of_the_structures():
    told = coco_of([("eye.jpg", MASK), ("blank.jpg", np.zeros((8, 9), np.uint8))])
    assert told["images"][1] == {"id": 2, "file_name": "blank.jpg", "height": 8, "width": 9}
    disc, cup = told["annotations"]
    assert (disc["area"], cup["area"]) == ((MASK > 0).sum(), (MASK == 2).sum())
    assert disc["bbox"] == [100, 40, 100, 120]
    assert [one["category_id"] for one in (disc, cup)] == [1, 2]
    assert {one["name"] for one in told["categories"]} == {"optic disc", "optic cup"}
    for one, structure in ((disc, MASK > 0), (cup, MASK == 2)):
        (line,) = one["segmentation"]
        canvas = Image.new("L", (3000, 2000))  # ten times as large, for the edge
        ImageDraw.Draw(canvas).polygon([10 * x for x in line], fill=1)
        drawn = np.asarray(canvas)[5::10, 5::10].astype(bool)
        assert (drawn != structure).sum() < 0.01 * structure.sum()


def test_files_name_the_photographs_beside_them(folders):
    given = [folders / "predictions", folders / "photos"]
    arguments = ["outlines", *map(str, given), "--out", str(folders / "out")]
    told = CliRunner().invoke(app, arguments)
    assert told.exit_code == 3
    assert "other: Expected an outline of the photograph" in told.output
    file = folders / "out" / "eye.json"
    assert json.loads(file.read_text())["imagePath"] == "../photos/eye.jpg"
    assert (read_mask_labelme(file)[0] != MASK).mean() < 0.002
    table = write_for_editors(given[0], given[1:], folders / "coco", "coco")
    assert table["status"].tolist() == ["ok", "not_written"]
    written = json.loads((folders / "coco" / "annotations.json").read_text())
    assert written["images"][0]["file_name"] == "../photos/eye.jpg"


def test_outlines_are_replaced_on_request_unless_somebody_corrected_them(folders):
    given = [folders / "predictions", [folders / "photos" / "eye.jpg"], folders / "out"]
    write_for_editors(*given, "labelme")
    with pytest.raises(InputError, match="add --overwrite"):
        write_for_editors(*given, "coco")
    write_for_editors(*given, "coco", overwrite=True)
    assert not (folders / "out" / "eye.json").exists()
    (folders / "out" / "annotations.json").write_text("corrected")
    with pytest.raises(InputError, match="was added or changed since"):
        write_for_editors(*given, "labelme", overwrite=True)
    assert (folders / "out" / "annotations.json").read_text() == "corrected"


def test_predictions_must_hold_masks(folders):
    with pytest.raises(InputError, match="with masks, at .*photos. Got: another"):
        write_for_editors(folders / "photos", [folders / "photos"], folders / "o", "coco")
    assert not (folders / "o").exists()
