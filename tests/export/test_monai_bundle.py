"""The bundle under MONAI's own commands, in a process of its own."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from monai.bundle import ConfigParser
from monai.data import MetaTensor
from monai.transforms import MapTransform, SaveImaged
from PIL import Image

from fundus_uda.clinic.predict import predict
from fundus_uda.errors import InputError
from fundus_uda.export import bundle_steps
from fundus_uda.masks.postprocess import remove_small_components
from fundus_uda.segmentation.model import load_model
from fundus_uda.segmentation.prediction import outline

for needed in ("fire", "ignite", "jsonschema"):
    pytest.importorskip(needed)
ROOT = Path(__file__).parents[2]


@pytest.fixture
def bundle(exported):
    return exported("monai-bundle")[0]


def monai(bundle, *arguments):
    command = [sys.executable, "-m", "monai.bundle", *map(str, arguments)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "CUDA_VISIBLE_DEVICES": ""}
    run = subprocess.run(command, cwd=bundle, env=environment, capture_output=True, text=True)
    assert run.returncode == 0, run.stdout + run.stderr
    return run.stdout + run.stderr


def crops(cameras, tmp_path):
    """A folder of photographs that are not all of the network's size, nor square."""
    folder = tmp_path / "crops"
    folder.mkdir()
    for number, size in enumerate(((64, 64), (150, 150), (140, 120))):
        with Image.open(cameras / "a" / "images" / f"a000{number}.png") as image:
            image.resize(size, Image.Resampling.BICUBIC).save(folder / f"crop{number}.png")
    return folder


@pytest.mark.slow
def test_monais_own_command_gives_the_masks_of_predict(
    bundle, seeing_run, cameras, tmp_path, monkeypatch
):
    folder, out = crops(cameras, tmp_path), tmp_path / "masks"
    # `predict` alone judges a mask, so that here every one counts.
    monkeypatch.setattr("fundus_uda.clinic.outlining.is_disc", lambda _: True)
    monai(
        bundle, "run", "--config_file", "configs/inference.yaml",
        "--meta_file", "configs/metadata.json", "--dataset_dir", folder, "--output_dir", out,
    )  # fmt: skip
    table = predict(load_model(seeing_run, "cpu"), [folder], tmp_path / "predictions")
    assert table["region_is_crop"].tolist() == [True] * 3, table[["image", "status", "reason"]]
    for name in table["image"]:
        ours, theirs = (
            np.asarray(Image.open(place / f"{name}.png"))
            for place in (tmp_path / "predictions" / "masks", out)
        )
        assert set(np.unique(ours)) == {0, 1, 2}
        assert np.array_equal(ours, theirs), name


@pytest.mark.slow
def test_monais_own_command_trains_on_and_scores(bundle, cameras, tmp_path):
    for name in ("images", "masks"):  # fewer than a batch of the run
        (tmp_path / name).mkdir()
        for number in range(3):
            file = f"{name}/a000{number}.png"
            (tmp_path / file).symlink_to(cameras / "a" / file)
    before = torch.load(bundle / "models" / "model.pt", weights_only=True)
    said = monai(
        bundle, "run", "--config_file", "configs/train.yaml", "--dataset_dir", tmp_path,
        "--val_dataset_dir", cameras / "a", "--max_epochs", 1,
    )  # fmt: skip
    (score,) = re.findall(r"Metrics -- dice_rim_and_cup: ([\d.]+)", said)
    assert 0 < float(score) <= 1
    file = bundle / "models" / "trained.pt"
    after = torch.load(file, weights_only=True)
    file.unlink()
    assert before.keys() == after.keys()
    assert any(not torch.equal(before[name], after[name]) for name in before)


def test_metadata_keep_to_the_schema_and_to_the_network(bundle):
    from monai.bundle import verify_metadata, verify_net_in_out

    metadata, schema = bundle / "configs" / "metadata.json", Path(__file__).parent / "schema.json"
    verify_metadata(meta_file=str(metadata), filepath=str(schema))
    verify_net_in_out(
        net_id="network_def", meta_file=str(metadata), device="cpu",
        config_file=str(bundle / "configs" / "inference.yaml"),
    )  # fmt: skip


def test_the_schema_refuses_metadata_that_lack_something(bundle, tmp_path):
    from monai.bundle import verify_metadata

    schema = Path(__file__).parent / "schema.json"
    metadata = json.loads((bundle / "configs" / "metadata.json").read_text())
    for key in ("monai_version", "network_data_format", "task"):
        lacking = {name: value for name, value in metadata.items() if name != key}
        (tmp_path / "metadata.json").write_text(json.dumps(lacking))
        with pytest.raises(ValueError, match="Failed validating"):
            verify_metadata(meta_file=str(tmp_path / "metadata.json"), filepath=str(schema))


def test_it_has_what_monai_asks_of_a_bundle(bundle, cameras, monkeypatch):
    from monai.bundle import ConfigWorkflow

    monkeypatch.chdir(bundle)
    for name, kind, data in (("inference", "infer", "a/images"), ("train", "train", "a")):
        workflow = ConfigWorkflow(
            config_file=f"configs/{name}.yaml", meta_file="configs/metadata.json",
            workflow_type=kind, logging_file=False, dataset_dir=str(cameras / data),
        )  # fmt: skip
        workflow.initialize()
        assert workflow.check_properties() == []


def test_torchscript_computes_the_same_and_carries_metadata(bundle, seeing_run):
    from monai.data import load_net_with_metadata

    traced, metadata, files = load_net_with_metadata(
        str(bundle / "models" / "model.ts"), more_extra_files=("inference.json", "train.json")
    )
    images = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        ours = load_model(seeing_run, "cpu").network(images)
        torch.testing.assert_close(traced(images), ours, rtol=0, atol=1e-5)
    assert metadata == json.loads((bundle / "configs" / "metadata.json").read_text())
    written = yaml.safe_load((bundle / "configs" / "inference.yaml").read_text())
    assert json.loads(files["inference.json"]) == written


def test_the_card_names_commands_on_files_that_are_there(bundle):
    text = (bundle / "docs" / "README.md").read_text()
    assert "configs/inference.yaml" in text
    assert "Apache License" in (bundle / "LICENSE").read_text()
    assert "Terms" in (bundle / "docs" / "data_license.txt").read_text()


def test_a_folder_without_photographs_is_named(tmp_path):
    with pytest.raises(InputError, match="folder of crops around the disc at .*none"):
        bundle_steps.photographs_in(str(tmp_path / "none"))


def test_what_another_program_put_into_an_item_is_kept(cameras):
    photograph, mask = (str(cameras / "a" / name / "a0000.png") for name in ("images", "masks"))
    item = {"image": photograph, "label": mask, "device": "cpu", "labels": {}}
    read = bundle_steps.ReadPhotograph()(item)
    assert (read["device"], read["labels"], read["file"]) == ("cpu", {}, photograph)
    assert read["image"].shape == (3, 64, 64)
    assert np.array_equal(read["label"][0], np.asarray(Image.open(mask)))


def test_a_photograph_in_memory_needs_no_file(bundle, seeing_run, cameras, monkeypatch):
    """As MONAI Deploy goes through a bundle: without steps that load or save, by `model.ts`."""
    monkeypatch.chdir(bundle)
    parser = ConfigParser()
    parser.read_config("configs/inference.yaml")
    before, after = (
        parser.get_parsed_content(name) for name in ("preprocessing", "postprocessing")
    )
    after.transforms = [step for step in after.transforms if not isinstance(step, SaveImaged)]
    assert all(isinstance(steps.transforms[0], MapTransform) for steps in (before, after))
    with Image.open(cameras / "a" / "images" / "a0000.png") as image:
        photograph = np.asarray(image.resize((140, 120)))
    item = before({"image": MetaTensor(photograph)})
    network = torch.jit.load("models/model.ts")
    (found,) = parser.get_parsed_content("inferer")(inputs=item["image"][None], network=network)
    made = after({**item, "pred": found})["pred"]
    assert made.shape == (1, 140, 120, 1)
    ours = outline(load_model(seeing_run, "cpu"), photograph).mask
    assert (made[0, :, :, 0].T.numpy() != remove_small_components(ours)).mean() < 0.001


@pytest.mark.parametrize("array", [np.zeros((8, 8)), np.zeros((8, 8, 3))])
def test_an_array_that_is_no_photograph_is_named(array):
    with pytest.raises(InputError, match=r"\(H, W, 3\) of uint8, RGB. Got: float64 of shape"):
        bundle_steps.ReadPhotograph()({"image": array})
