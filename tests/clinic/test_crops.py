import numpy as np
import pytest
from PIL import Image

from fundus_uda.clinic.crops import write_crops
from fundus_uda.data.datasets import load_samples
from fundus_uda.data.synthetic import render
from fundus_uda.engine.errors import InputError
from tests.clinic.fields import retina, whole_field
from tests.clinic.test_reading import write_dicom


def test_crops_around_the_discs_make_a_dataset(tmp_path):
    (tmp_path / "in").mkdir()
    whole, crop = whole_field(2)[0], render("a", 1, 200)[0]
    for name, pixels in (("whole", whole), ("crop", crop), ("no_disc", retina(1))):
        Image.fromarray(pixels).save(tmp_path / "in" / f"{name}.png")
    (tmp_path / "in" / "broken.png").write_bytes(b"no image")
    table = write_crops([tmp_path / "in"], tmp_path / "out").set_index("image")
    assert table["status"].to_dict() == {
        "broken": "unreadable", "crop": "ok", "no_disc": "no_disc", "whole": "ok"
    }  # fmt: skip
    samples = load_samples(f"folder:{tmp_path / 'out'}")
    assert [sample.id for sample in samples] == ["crop", "whole"]
    assert np.array_equal(np.asarray(Image.open(samples[0].image)), crop)
    top, left, side = table.loc["whole", ["region_top", "region_left", "region_height"]].astype(int)
    cut = np.asarray(Image.open(samples[1].image))
    assert np.array_equal(cut, whole[top : top + side, left : left + side])
    assert top < 190 < top + side
    assert left < 400 < left + side


def test_a_crop_that_shows_text_is_not_copied(tmp_path):
    pixels = render("a", 1, 200)[0]
    write_dicom(tmp_path / "a.dcm", pixels, Rows=200, Columns=200, BurnedInAnnotation="YES")
    table = write_crops([tmp_path / "a.dcm"], tmp_path / "out")
    assert table["status"].tolist() == ["unreadable"]
    assert "without text in it" in table["reason"][0]
    assert not list((tmp_path / "out" / "images").iterdir())


def test_a_folder_in_use_is_refused(tmp_path):
    Image.fromarray(render("a", 1, 64)[0]).save(tmp_path / "a.png")
    with pytest.raises(InputError, match="new or empty output folder"):
        write_crops([tmp_path], tmp_path)
