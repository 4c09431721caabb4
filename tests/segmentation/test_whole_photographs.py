"""Whole photographs where networks train on, translate and are scored on crops around the disc."""

import json

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from typer.testing import CliRunner

from cli.main import app
from fundus_uda.clinic.crops import write_labelled_crops
from fundus_uda.data.datasets import load_samples
from fundus_uda.data.inspection import cropped_if_whole, load_labelled, require_crops
from fundus_uda.data.mask_files import read_mask
from fundus_uda.data.photograph_files import read_photograph, read_sample
from fundus_uda.data.samples import without_masks
from fundus_uda.errors import InputError
from fundus_uda.masks.region import CROP_FROM, disc_diameter
from fundus_uda.segmentation import evaluation
from fundus_uda.segmentation.adjustment import FEWEST, fit_adjustment
from fundus_uda.segmentation.evaluation import evaluate_model
from fundus_uda.segmentation.training import prepare, train
from fundus_uda.segmentation.translated_source import write_translated_source
from fundus_uda.translation.settings import FourierSettings
from tests.fixtures.fields import write_fields, write_whole
from tests.fixtures.seeing import brightness_model
from tests.fixtures.small_run import small_settings

CPU = torch.device("cpu")
ONE_STEP = ("steps=1", "snapshot_every=1")


@pytest.fixture
def whole(tmp_path):
    return write_whole(tmp_path / "whole", 4)


def said(uri) -> str:
    return f"{uri} shows whole photographs: they are cropped around the disc by their masks.\n"


def test_the_fixtures_are_whole_photographs(whole, cameras):
    for folder, is_whole in ((whole, True), (cameras / "a", False)):
        for sample in load_samples(f"folder:{folder}"):
            assert (disc_diameter(read_mask(sample)[0]) < 0.8 * CROP_FROM) == is_whole


def test_a_sample_around_the_disc_is_its_square(whole, capsys):
    uri = f"folder:{whole}"
    for sample in cropped_if_whole(load_samples(uri), uri):
        item = read_sample(sample)
        label = item["label"][0].numpy()
        assert item["image"].shape[1:] == label.shape == (len(label),) * 2
        assert disc_diameter(label) == pytest.approx(0.6, abs=0.01)
        rows, columns = np.nonzero(label)
        middle = len(label) / 2
        assert (rows.mean(), columns.mean()) == pytest.approx((middle, middle), abs=0.51)
        assert (label == 2).sum() == (read_mask(sample)[0] == 2).sum()
    assert capsys.readouterr().err == said(uri)


def test_training_sees_the_disc_at_the_size_of_crops(whole, cameras, capsys):
    uri = f"folder:{whole}"
    given = [f"data.source={uri}", f"data.test={uri}"]
    run = prepare(small_settings(cameras, "method=asc", *given), CPU)
    assert len(run.source) == 4
    for item in run.source.cached:
        assert item["image"].shape == (3, 64, 64)
        assert disc_diameter(item["label"][0].numpy()) == pytest.approx(0.6, abs=0.03)
    assert all(sample.around_disc for sample in run.test)
    printed = capsys.readouterr()
    assert printed.err == 2 * said(uri)  # of source and test
    assert printed.out == ""
    assert run.state.label_shares[1:].sum() == pytest.approx(np.pi * 0.3**2, abs=0.02)


def test_the_oracle_sees_the_target_so_too(whole, cameras, capsys):
    given = ["method=oracle", f"data.target=folder:{whole}", "data.source=null"]
    (label, *_) = [item["label"][0] for item in prepare(small_settings(cameras, *given), CPU)
                   .source.cached]  # fmt: skip
    assert disc_diameter(label.numpy()) == pytest.approx(0.6, abs=0.03)
    assert capsys.readouterr().err == said(f"folder:{whole}")


def test_a_run_on_whole_photographs_says_so_in_its_summary(whole, cameras, tmp_path):
    given = [f"data.source=folder:{whole}", f"data.test=folder:{whole}", *ONE_STEP]
    summaries = train(small_settings(cameras, "method=source", *given), tmp_path / "run", CPU)
    assert summaries["last"]["cropped_by_masks"] is True
    assert summaries["last"]["dice_disc"]["n"] == 4


def test_crops_are_left_alone(cameras, tmp_path, capsys):
    uri = f"folder:{cameras / 'a'}"
    samples = load_samples(uri)
    assert cropped_if_whole(samples, uri) == samples
    unlabelled = without_masks(load_samples(f"folder:{cameras / 'b'}"))
    assert require_crops(unlabelled, "folder:b") == unlabelled
    settings = small_settings(cameras, "method=asc", f"data.test={uri}", *ONE_STEP)
    summaries = train(settings, tmp_path / "run", CPU)
    assert summaries["last"]["cropped_by_masks"] is False
    assert "whole photographs" not in capsys.readouterr().err
    pixels = read_sample(samples[0])["image"]
    assert torch.equal(pixels, read_photograph(samples[0].image))


@pytest.fixture
def seeing(cameras, monkeypatch):
    """A model that needs no training, by whatever path."""
    model = brightness_model(cameras)
    monkeypatch.setattr(evaluation, "load_model", lambda *_: model)
    monkeypatch.setattr(evaluation, "seen_in_training", lambda *_: False)  # there is no run


@pytest.mark.usefixtures("seeing")
def test_evaluation_of_whole_photographs_is_that_of_their_crops(whole, tmp_path, capsys):
    uri = f"folder:{whole}"
    of_whole = evaluate_model(tmp_path, uri, None, tmp_path / "of_whole", CPU)
    assert capsys.readouterr().err == said(uri)
    write_labelled_crops(load_samples(uri), tmp_path / "crops")
    crops = f"folder:{tmp_path / 'crops'}"
    of_crops = evaluate_model(tmp_path, crops, None, tmp_path / "of_crops", CPU)
    assert (of_whole["cropped_by_masks"], of_crops["cropped_by_masks"]) == (True, False)
    assert capsys.readouterr().err == ""
    one, other = (pd.read_csv(tmp_path / name / "dice.csv") for name in ("of_whole", "of_crops"))
    pd.testing.assert_frame_equal(one, other)
    assert of_whole["dice_disc"]["mean"] > 0.8
    assert of_whole["images"] == of_crops["images"]


def test_outlines_in_whole_photographs_adjust_as_those_in_their_crops(cameras, tmp_path):
    """Of a network that draws all borders farther outside than the masks have them."""
    folder = write_whole(tmp_path / "five", FEWEST)
    write_labelled_crops(load_samples(f"folder:{folder}"), tmp_path / "crops")
    model = brightness_model(cameras)
    model.network.register_forward_hook(
        lambda *of: of[2] + torch.tensor([0, 2, 3.0])[:, None, None]
    )
    of_whole, of_crops = (
        fit_adjustment(model, load_labelled(f"folder:{data}"))
        for data in (folder, tmp_path / "crops")
    )
    assert of_whole == of_crops
    assert of_whole.disc < -0.5
    assert of_whole.cup < -0.5


@pytest.mark.usefixtures("seeing")
def test_evaluate_prints_both_errors_of_the_vertical_ratio(whole, tmp_path):
    """Of whole photographs, by the command. A vessel is drawn through each cup."""
    for sample in load_samples(f"folder:{whole}"):
        (file,) = sample.masks
        mask = np.asarray(Image.open(file)).copy()
        rows = np.flatnonzero((mask == 2).any(axis=1))
        across = mask[int(np.median(rows))]
        across[across == 2] = 1
        Image.fromarray(mask).save(file)
    out = tmp_path / "e"
    (tmp_path / "last.pt").touch()  # the network is that of the fixture
    arguments = ["evaluate", str(tmp_path), f"folder:{whole}", "--out", str(out)]
    result = CliRunner().invoke(app, [*arguments, "--device", "cpu"])
    assert result.exit_code == 0, result.output
    table = pd.read_csv(out / "dice.csv")
    summary = json.loads((out / "summary.json").read_text())
    for name, line in (
        ("vertical_cdr", "Mean absolute error of the vertical ratio: "),
        ("vertical_cdr_refuge", "The same as REFUGE counts, with 0 where no disc is found: "),
    ):
        error = (table[name] - table[f"{name}_reference"]).abs().mean()
        assert summary[f"{name}_error"] == pytest.approx(error)
        assert f"{line}{error:.3f}" in result.stdout
    assert summary["vertical_cdr_error"] != summary["vertical_cdr_refuge_error"]
    assert said(f"folder:{whole}") in result.stderr


def translate(source, target, out) -> str:
    settings = FourierSettings(source=f"folder:{source}", target=f"folder:{target}", beta=0.05)
    return write_translated_source(settings, None, out, CPU)


def test_translated_whole_photographs_are_crops(whole, cameras, tmp_path, capsys):
    samples = load_samples(translate(whole, cameras / "b", tmp_path / "out"))
    assert capsys.readouterr().err == said(f"folder:{whole}")
    assert [sample.id for sample in samples] == [f"w{seed:04d}" for seed in range(4)]
    for sample in samples:
        mask, _ = read_mask(sample)
        assert disc_diameter(mask) == pytest.approx(0.6, abs=0.01)
        with Image.open(sample.image) as image:
            assert image.size == mask.shape[::-1]
    uri = f"folder:{tmp_path / 'out'}"
    assert cropped_if_whole(samples, uri) == samples  # not once more


@pytest.mark.parametrize("command", ["train", "test", "evaluate", "translate"])
@pytest.mark.usefixtures("seeing")
def test_a_whole_photograph_without_a_disc_is_named(command, cameras, tmp_path):
    folder, out = write_whole(tmp_path / "whole", 4, without_disc=[2]), tmp_path / "out"
    uri = f"folder:{folder}"

    def trained(domain):
        given = ["method=source", f"data.{domain}={uri}", *ONE_STEP]
        return train(small_settings(cameras, *given), out, CPU)

    commands = {
        "train": lambda: trained("source"),
        "test": lambda: trained("test"),
        "evaluate": lambda: evaluate_model(tmp_path, uri, None, out, CPU),
        "translate": lambda: translate(folder, cameras / "b", out),
    }
    message = r"Expected an optic disc in .*/masks/w0002\.png, to crop .* Got: none. Draw the disc"
    with pytest.raises(InputError, match=message):
        commands[command]()
    assert not list(out.rglob("*.pt"))


@pytest.mark.parametrize("command", ["train", "translate"])
def test_unlabelled_whole_photographs_are_refused_with_the_command_that_crops(
    command, cameras, tmp_path
):
    fields, out = write_fields(tmp_path / "fields", 3), tmp_path / "out"
    settings = small_settings(cameras, "method=asc", f"data.target=folder:{fields}", *ONE_STEP)
    commands = {
        "train": lambda: train(settings, out, CPU),
        "translate": lambda: translate(cameras / "a", fields, out),
    }
    message = (
        rf"Expected crops around the disc at folder:{fields}\. Got: whole photographs\. Cut them "
        rf"with `fundus-uda crop {fields / 'images'} --out DIR`, then give folder:DIR\."
    )
    with pytest.raises(InputError, match=message):
        commands[command]()
    assert not out.exists()


def test_a_few_dark_corners_among_crops_are_no_whole_photographs(cameras, tmp_path):
    fields = write_fields(tmp_path / "mixed", 1)
    for sample in load_samples(f"folder:{cameras / 'b'}")[:2]:
        with Image.open(sample.image) as image:
            image.save(fields / "images" / sample.image.name)
    samples = load_samples(f"folder:{fields}")
    assert require_crops(samples, "folder:mixed") == samples
