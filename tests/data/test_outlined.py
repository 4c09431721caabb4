"""A folder of outlines that readers drew or corrected."""

import json

import numpy as np
import pytest
from PIL import Image

from fundus_uda.data.datasets import load_samples
from fundus_uda.data.mask_files import read_mask
from fundus_uda.data.outlined import SUGGESTED, WRITTEN
from fundus_uda.engine.fingerprint import digest
from fundus_uda.errors import InputError
from fundus_uda.masks.labelme import labelme_text
from fundus_uda.masks.nifti import write_mask_nifti
from tests.fixtures.shapes import ellipses

MASK = ellipses((20, 18), (8, 7), shape=(64, 64))
OTHER = ellipses((22, 20), (8, 7), shape=(64, 64))


@pytest.fixture
def folder(tmp_path):
    """A folder as `suggest` writes it, of the photographs a, b and c, that nobody has edited."""
    for name in ("images", "masks"):
        (tmp_path / name).mkdir()
    written = {}
    for id_ in "abc":
        Image.new("RGB", (64, 64)).save(tmp_path / "images" / f"{id_}.png")
        Image.fromarray(MASK).save(tmp_path / "masks" / f"{id_}.png")
        (tmp_path / "images" / f"{id_}.json").write_text(labelme_text(MASK, f"{id_}.png"))
        for file in (f"masks/{id_}.png", f"images/{id_}.json"):
            written[file] = digest(tmp_path / file)
    (tmp_path / WRITTEN).write_text(json.dumps(written))
    (tmp_path / SUGGESTED).write_text("image,accepted,doubt\na,,0.5\nb,,0.3\nc,,0.1\n")
    return tmp_path


def test_only_what_somebody_changed_or_accepted_counts(folder, capsys):
    with pytest.raises(InputError, match="Got: none that was changed or accepted"):
        load_samples(f"outlined:{folder}")
    Image.fromarray(OTHER).save(folder / "masks" / "a.png")
    (folder / SUGGESTED).write_text("image;accepted;doubt\na;;0.5\nb;Yes;0.3\nc;no;0.1\n")
    samples = load_samples(f"outlined:{folder}")
    assert [sample.id for sample in samples] == ["a", "b"]
    assert [read_mask(sample)[0].tolist() for sample in samples] == [OTHER.tolist(), MASK.tolist()]
    assert "1 outlines are as the network drew them, and are left out: c" in capsys.readouterr().err


def test_each_editor_has_a_place_to_write(folder):
    (folder / "images" / "a.json").write_text(labelme_text(OTHER, "a.png"))
    write_mask_nifti(OTHER, folder / "masks" / "b.nii.gz")
    masks = [read_mask(sample)[0] for sample in load_samples(f"outlined:{folder}")]
    assert (masks[0] != OTHER).mean() < 0.003
    assert masks[1].tolist() == OTHER.tolist()


def test_two_outlines_of_one_photograph_are_a_fault(folder):
    Image.fromarray(OTHER).save(folder / "masks" / "a.png")
    (folder / "images" / "a.json").write_text(labelme_text(OTHER, "a.png"))
    with pytest.raises(InputError, match="masks/a.png and images/a.json, which were both drawn"):
        load_samples(f"outlined:{folder}")


def test_an_outline_of_an_unknown_photograph_is_a_fault(folder):
    Image.fromarray(OTHER).save(folder / "masks" / "d.png")
    with pytest.raises(InputError, match=r"Got: none for .*masks/d\.png. Add it, or remove"):
        load_samples(f"outlined:{folder}")


def test_all_count_in_a_folder_of_ones_own(folder):
    for file in (WRITTEN, SUGGESTED):
        (folder / file).unlink()
    for json_file in (folder / "images").glob("*.json"):
        json_file.unlink()
    assert [sample.id for sample in load_samples(f"outlined:{folder}")] == ["a", "b", "c"]


def test_a_folder_of_another_form_is_refused(tmp_path):
    Image.fromarray(np.zeros((8, 8, 3), np.uint8)).save(tmp_path / "eye.png")
    with pytest.raises(InputError, match="No photographs in .*images with masks of their names"):
        load_samples(f"outlined:{tmp_path}")


def test_a_table_without_its_columns_is_refused(folder):
    (folder / SUGGESTED).write_text("name,done\na,yes\n")
    with pytest.raises(InputError, match="columns `image` and `accepted` in .*suggested.csv"):
        load_samples(f"outlined:{folder}")
