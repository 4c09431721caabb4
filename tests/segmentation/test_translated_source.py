"""The translated source of the fundus application, on embedded photographs of two cameras."""

import pickle
import shutil

import numpy as np
import pytest
import torch
from PIL import Image
from typer.testing import CliRunner

from cli.main import app
from fundus_uda.data.datasets import load_samples
from fundus_uda.data.mask_files import read_mask
from fundus_uda.data.photograph_files import read_photograph
from fundus_uda.data.synthetic import write_camera
from fundus_uda.engine.checkpoint import load_checkpoint
from fundus_uda.errors import InputError
from fundus_uda.segmentation.model import load_model
from fundus_uda.segmentation.training import train
from fundus_uda.segmentation.translated_source import _domain, write_translated_source
from fundus_uda.translation import stage
from fundus_uda.translation.settings import read_settings
from tests.fixtures.runs import assert_identical, power_failure
from tests.fixtures.small_run import small_settings

CPU = torch.device("cpu")
SMALL = ["crop=32", "generator.channels=2", "generator.blocks=1", "discriminator_channels=2",
         "steps=2", "snapshot_every=2", "lr=0.01"]  # fmt: skip


@pytest.fixture(scope="module")
def model(cameras, tmp_path_factory):
    out = tmp_path_factory.mktemp("model") / "run"
    train(small_settings(cameras, "method=source", "steps=1", "snapshot_every=1"), out, CPU)
    return out


def write(method, cameras, out, target=None, model=None, overrides=(), continue_run=False):
    uris = f"folder:{cameras / 'a'}", f"folder:{target or cameras / 'b'}"
    given = str(model) if method == "cycada" else None
    settings = read_settings(method, *uris, given, "cpu", list(overrides))
    return write_translated_source(settings, None, out, CPU, continue_run)


@pytest.mark.parametrize("method", ["fourier", "histogram", "cycada"])
def test_the_translated_source_is_a_folder_to_train_on(method, cameras, model, tmp_path):
    uri = write(
        method,
        cameras,
        tmp_path / "out",
        model=model,
        overrides=SMALL if method == "cycada" else (),
    )
    translated, source = load_samples(uri), load_samples(f"folder:{cameras / 'a'}")
    assert [sample.id for sample in translated] == [sample.id for sample in source]
    changed = 0
    for new, old in zip(translated, source, strict=True):
        assert np.array_equal(read_mask(new)[0], read_mask(old)[0])
        pixels = [read_photograph(sample.image) for sample in (new, old)]
        assert pixels[0].shape == pixels[1].shape
        changed += not torch.equal(*pixels)
    assert changed == len(source)
    settings = small_settings(cameras, f"data.source={uri}", "steps=1", "snapshot_every=1")
    train(settings, tmp_path / "run", CPU)


@pytest.mark.parametrize("method", ["fourier", "histogram"])
def test_masks_of_every_encoding_are_those_that_read_mask_gives(method, tmp_path):
    write_camera(tmp_path / "b", "b", count=1, size=64, first_seed=0)
    write_camera(tmp_path / "a", "a", count=1, size=64, first_seed=0)
    mask_file = next((tmp_path / "a" / "masks").iterdir())
    classes = np.asarray(Image.open(mask_file))
    Image.fromarray(np.array([255, 128, 0], np.uint8)[classes]).save(mask_file)  # as REFUGE's
    (sample,) = load_samples(write(method, tmp_path, tmp_path / "out"))
    assert np.array_equal(np.asarray(Image.open(sample.masks[0])), classes)


@pytest.mark.parametrize("method", ["fourier", "histogram", "cycada"])
def test_target_masks_are_never_read(method, cameras, model, tmp_path):
    """The same comes out with no target masks, and with broken ones."""
    without, broken = tmp_path / "without", tmp_path / "broken"
    shutil.copytree(cameras / "b" / "images", without / "images")
    shutil.copytree(cameras / "b", broken)
    for mask in (broken / "masks").iterdir():
        mask.write_bytes(b"junk")
    overrides = SMALL if method == "cycada" else ()
    results = []
    for target in (cameras / "b", without, broken):
        out = tmp_path / f"out{len(results)}"
        write(method, cameras, out, target, model, overrides)
        results.append([path.read_bytes() for path in sorted((out / "images").iterdir())])
    assert results[0] == results[1] == results[2]


def test_an_interrupted_cycada_continues_to_the_same_images(cameras, model, tmp_path):
    write("cycada", cameras, tmp_path / "whole", model=model, overrides=SMALL)
    with power_failure(stage, "translation_step", at=1):
        write("cycada", cameras, tmp_path / "parts", model=model, overrides=SMALL)
    assert not (tmp_path / "parts" / "images").exists()
    write("cycada", cameras, tmp_path / "parts", None, model, SMALL, continue_run=True)
    whole, parts = (load_checkpoint(tmp_path / n / "last.pt").state for n in ("whole", "parts"))
    assert_identical(whole, parts)
    for image in (tmp_path / "whole" / "images").iterdir():
        assert image.read_bytes() == (tmp_path / "parts" / "images" / image.name).read_bytes()


def test_photographs_can_be_sent_to_worker_processes(cameras):
    photographs = _domain(load_samples(f"folder:{cameras / 'a'}"), 32)
    sent = pickle.loads(pickle.dumps(photographs))
    assert np.array_equal(sent.read(1), photographs.read(1))
    assert sent.working_size(64, 48) == (32, 24)


def test_a_source_without_masks_is_refused_before_anything_is_written(cameras, tmp_path):
    settings = read_settings(
        "fourier", f"folder:{cameras / 'a' / 'images'}", f"folder:{cameras / 'b'}", None, "cpu", []
    )
    with pytest.raises(InputError, match="Expected a mask for each of the 8 photographs"):
        write_translated_source(settings, None, tmp_path / "out", CPU)
    assert not (tmp_path / "out").exists()


def test_a_translation_is_no_model_to_predict_with(cameras, model, tmp_path):
    write("cycada", cameras, tmp_path / "out", model=model, overrides=SMALL)
    with pytest.raises(InputError, match="Expected a model of 3 classes.*Got: 0 classes"):
        load_model(tmp_path / "out", CPU)


def test_the_command(cameras, tmp_path):
    uris = ["--source", f"folder:{cameras / 'a'}", "--target", f"folder:{cameras / 'b'}"]
    arguments = ["translate", "fourier", "beta=0.05", *uris, "--out", str(tmp_path / "out")]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0, result.output
    assert f"data.source=folder:{tmp_path / 'out'}" in result.output.replace("\n", "")
    assert len(load_samples(f"folder:{tmp_path / 'out'}")) == 8
    assert "beta: 0.05" in (tmp_path / "out" / "config.yaml").read_text()
    with pytest.raises(InputError, match="new or empty output folder"):
        CliRunner().invoke(app, arguments, catch_exceptions=False)
    with pytest.raises(InputError, match="checkpoint to resume at .*Got: another folder"):
        CliRunner().invoke(app, [*arguments, "--resume"], catch_exceptions=False)
