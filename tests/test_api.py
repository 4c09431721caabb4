"""The commands as functions; the examples in their docstrings are true."""

import doctest
import inspect
import shutil

import numpy as np
import pytest
from PIL import Image

import fundus_uda
from cli import adapt, predict
from fundus_uda import api
from fundus_uda.data.samples import without_masks
from fundus_uda.data.synthetic import render
from fundus_uda.errors import InputError
from tests.fixtures.fields import whole_field
from tests.fixtures.seeing import brightness_model


@pytest.fixture
def seeing(cameras):
    """A model for arrays, which tells structures by brightness."""
    return api.Model(**vars(brightness_model(cameras)))


@pytest.mark.slow
def test_the_examples_are_true(seeing_run, cameras, tmp_path, monkeypatch):
    shutil.copytree(seeing_run, tmp_path / "adapted")
    shutil.copytree(cameras / "a", tmp_path / "source")
    shutil.copytree(cameras / "a" / "images", tmp_path / "photos")
    monkeypatch.chdir(tmp_path)
    result = doctest.testmod(api)
    assert result.failed == 0
    assert result.attempted > 10


@pytest.mark.parametrize("whole", [False, True])
def test_an_array_gets_the_mask_that_predict_writes(whole, seeing, tmp_path):
    photograph = whole_field(2)[0] if whole else render("a", 1, 150)[0]
    Image.fromarray(photograph).save(tmp_path / "eye.png")
    fundus_uda.predict(tmp_path / "eye.png", model=seeing, out=tmp_path / "out")
    with Image.open(tmp_path / "out" / "masks" / "eye.png") as written:
        assert np.array_equal(seeing.outline(photograph), np.asarray(written))
    assert set(np.unique(seeing.outline(photograph))) == {0, 1, 2}


def test_an_array_without_a_disc_is_background(seeing):
    mask = seeing.outline(np.full((100, 120, 3), 90, np.uint8))
    assert mask.shape == (100, 120)
    assert not mask.any()


@pytest.mark.parametrize(
    ("array", "found"),
    [
        (np.zeros((8, 8), np.uint8), r"uint8 of shape \(8, 8\)"),
        (np.zeros((3, 8, 8), np.uint8), r"uint8 of shape \(3, 8, 8\)"),
        (np.zeros((8, 8, 3)), r"float64 of shape \(8, 8, 3\)"),
        (np.zeros((0, 8, 3), np.uint8), r"uint8 of shape \(0, 8, 3\)"),
    ],
)
def test_another_array_is_named(array, found, seeing):
    with pytest.raises(InputError, match=rf"\(H, W, 3\) of uint8, RGB. Got: {found}"):
        seeing.outline(array)


@pytest.mark.parametrize("as_samples", [False, True])
def test_whole_photographs_are_scored_around_their_discs(as_samples, seeing, tmp_path, capsys):
    photograph, (row, column), diameter = whole_field(2)
    y, x = np.mgrid[:400, :560]
    distance = np.hypot(y - row, x - column) / (diameter / 2)
    for name, array in (("images", photograph), ("masks", (distance < 1) + (distance < 0.5))):
        (tmp_path / name).mkdir()
        Image.fromarray(array.astype(np.uint8)).save(tmp_path / name / "eye.png")
    uri = f"folder:{tmp_path}"
    (row,) = fundus_uda.evaluate(
        seeing, fundus_uda.load_samples(uri) if as_samples else uri
    ).to_dict("records")
    assert (row["image"], row["dice_disc"] > 0.8) == ("eye", True)
    assert row["disc_area_reference"] > 0.1  # of the square around it
    assert "shows whole photographs: they are cropped" in capsys.readouterr().err


def test_samples_without_masks_are_not_scored(seeing, cameras):
    samples = without_masks(fundus_uda.load_samples(f"folder:{cameras / 'a'}"))
    with pytest.raises(InputError, match="a mask for each of the 8 photographs at the samples"):
        fundus_uda.evaluate(seeing, samples)


@pytest.mark.parametrize(
    ("command", "function", "arguments"),
    [
        (predict.fundus, api.predict, {"paths": {"model", "photos"}}),
        (adapt.command, api.adapt, {}),
    ],
)
def test_the_functions_have_the_options_of_the_commands(command, function, arguments):
    names = [arguments.get(name, {name}) for name in inspect.signature(command).parameters]
    assert set.union(*names) == set(inspect.signature(function).parameters)
