import json

import numpy as np
import pytest
import torch
from torch import nn

from fundus_uda.clinic.predict import predict
from fundus_uda.data.synthetic import render
from fundus_uda.errors import InputError
from fundus_uda.export import onnx_file
from fundus_uda.export.formats import export
from fundus_uda.segmentation.model import load_model
from fundus_uda.segmentation.prediction import outline
from fundus_uda.segmentation.training import initial_state
from tests.fixtures.small_run import small_settings

onnx = pytest.importorskip("onnx")
onnxruntime = pytest.importorskip("onnxruntime")


@pytest.fixture
def file(exported):
    return exported("onnx")[0]


def test_the_difference_is_told(exported):
    told = exported("onnx")[1]
    assert float(told.split(" by ")[1].split()[0]) < 1e-5


def test_any_batch_and_size_gives_the_probabilities_of_torch(file, seeing_run):
    network = load_model(seeing_run, "cpu").network
    session = onnxruntime.InferenceSession(file)
    for shape in ((1, 3, 64, 64), (3, 3, 32, 48), (2, 3, 128, 96)):
        images = torch.randn(shape)
        with torch.no_grad():
            ours = network(images).softmax(dim=1)
        (logits,) = session.run(None, {"images": images.numpy()})
        theirs = torch.from_numpy(logits).softmax(dim=1)
        assert (ours - theirs).abs().max() < 1e-5


def test_it_is_a_model_with_the_same_masks(file, seeing_run):
    ours, theirs = load_model(seeing_run, "cpu"), load_model(file, "cpu")
    for seed in range(3):
        photograph, _ = render("b", seed, 96)
        masks = [outline(model, photograph).mask for model in (ours, theirs)]
        assert np.array_equal(*masks)


def test_predictions_of_one_file_do_not_go_on_with_another(file, cameras, tmp_path, monkeypatch):
    other = onnx.load(file)
    weights = other.graph.initializer[0]
    weights.CopyFrom(
        onnx.numpy_helper.from_array(2 * onnx.numpy_helper.to_array(weights), weights.name)
    )
    onnx.save(other, tmp_path / "other.onnx")
    photographs, out = [cameras / "b" / "images"], tmp_path / "out"

    def stops(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("fundus_uda.clinic.predict.write_tables", stops)
        with pytest.raises(KeyboardInterrupt):
            predict(load_model(file, "cpu"), photographs, out)
    with pytest.raises(InputError, match="same photographs, model and options"):
        predict(load_model(tmp_path / "other.onnx", "cpu"), photographs, out)
    assert len(predict(load_model(file, "cpu"), photographs, out)) == 6


def test_its_metadata_say_what_a_reader_needs(file):
    metadata = onnxruntime.InferenceSession(file).get_modelmeta().custom_metadata_map
    assert json.loads(metadata["classes"]) == ["background", "rim", "cup"]
    assert len(json.loads(metadata["mean"])) == len(json.loads(metadata["std"])) == 3
    assert json.loads(metadata["size"]) == 64
    assert json.loads(metadata["provenance"])["source"] == "folder"
    assert metadata["card"].startswith("# Optic disc and cup")


def test_a_file_of_another_task_and_a_damaged_one_are_named(file, tmp_path):
    other = onnx.load(file)
    del other.metadata_props[:]
    onnx.save(other, tmp_path / "other.onnx")
    with pytest.raises(InputError, match="`fundus-uda export` wrote at .*other.onnx. Got: one of"):
        load_model(tmp_path / "other.onnx", "cpu")
    (tmp_path / "cut.onnx").write_bytes(file.read_bytes()[:1000])
    with pytest.raises(InputError, match="ONNX file at .*cut.onnx. Got: another kind of file"):
        load_model(tmp_path / "cut.onnx", "cpu")


def test_compiled_weights_are_not_exported_again(file, tmp_path):
    with pytest.raises(InputError, match="weights for torch. Got: .*model.onnx, in which"):
        export(file, "safetensors", tmp_path / "model.safetensors")


def test_compiled_weights_are_not_trained(file, cameras):
    settings = small_settings(cameras, f"start={file}", "method=source")
    with pytest.raises(InputError, match="weights to train on from. Got: .*model.onnx, in which"):
        initial_state(settings, None, torch.device("cpu"))


def test_a_difference_is_found():
    network = nn.Conv2d(3, 3, 1)
    other = nn.Conv2d(3, 3, 1)
    assert onnx_file.largest_difference(network, network, 32) == 0
    assert onnx_file.largest_difference(network, other, 32) > 0.01


def test_a_missing_package_is_named(monkeypatch):
    monkeypatch.setattr(onnx_file.importlib.util, "find_spec", lambda _: None)
    with pytest.raises(InputError, match=r"package onnx. Got: not installed. .*\[export\]"):
        onnx_file.require_package("onnx")
