"""Files as the published ones are laid out, with values that tell each tensor apart."""

from argparse import Namespace

import numpy as np
import pytest
import torch
from torchvision.models import resnet101, vgg16

from fundus_uda import torch_file
from fundus_uda.errors import InputError
from roadscene.deeplab_v2 import DeepLabV2ResNet101, DeepLabV2VGG16
from roadscene.weights import load_file


@pytest.fixture(autouse=True)
def small_files(monkeypatch):
    """The files here repeat one value in each tensor, as a stranger's may not."""
    monkeypatch.setattr(torch_file, "_require_honest", lambda *_: None)


@pytest.fixture(scope="module")
def single():
    return DeepLabV2ResNet101(19)


@pytest.fixture(scope="module")
def multi():
    return DeepLabV2ResNet101(19, auxiliary=True)


@pytest.fixture(scope="module")
def body():
    """Published keys of ResNet-101 without a head; each tensor holds a number of its own."""
    with torch.device("meta"):
        shapes = resnet101().state_dict()
    tensors = {}
    for number, (key, value) in enumerate(shapes.items()):
        if not key.startswith("fc."):
            fill = 0 if "num_batches" in key else number / 1000
            tensors[key] = torch.tensor(fill, dtype=value.dtype).expand(value.shape)
    return tensors


def head(name, channels, classes, value):
    tensors = {}
    for branch in range(4):
        key = f"{name}.conv2d_list.{branch}"
        weight = torch.full((1,), value + branch).expand(classes, channels, 3, 3)
        tensors |= {f"{key}.weight": weight, f"{key}.bias": torch.full((classes,), value)}
    return tensors


def first(network, name):
    return network.state_dict()[f"{name}.conv2d_list.0.weight"][0, 0, 0, 0].item()


def save(path, contents):
    torch.save(contents, path)
    return path


def test_a_body_inside_a_wrapper_beside_options_and_an_optimizer(tmp_path, single, body):
    """torchvision's own training script writes such files."""
    beside = {"args": Namespace(lr=0.1), "optimizer": {"state": {0: {"m": torch.ones(2)}}}}
    report = load_file(single, save(tmp_path / "wrapped.pth", {"model": body, **beside}))
    assert not [key for key in report.left if not key.startswith("layer5")]


def test_layout_of_two_heads_into_one(tmp_path, single, body):
    """AdaptSegNet and ADVENT: layer5 is auxiliary, layer6 the main head."""
    tensors = {**body, **head("layer5", 1024, 19, 5.0), **head("layer6", 2048, 19, 6.0)}
    report = load_file(single, save(tmp_path / "multi.pth", tensors), require_main_head=True)
    assert first(single, "layer5") == 6.0
    assert report.left == []
    assert len(report.skipped) == 8
    assert "skipped layer5.conv2d_list.0.bias, layer5.conv2d_list.0.weight" in str(report)
    assert "a head on 1024 channels, which this network lacks" in str(report)
    for key in ("conv1.weight", "layer3.11.conv2.weight", "layer4.2.bn3.running_var"):
        assert torch.equal(single.state_dict()[key], body[key])


def test_layout_of_two_heads_into_two(tmp_path, multi, body):
    tensors = {**body, **head("layer5", 1024, 19, 5.0), **head("layer6", 2048, 19, 6.0)}
    report = load_file(multi, save(tmp_path / "multi.pth", tensors))
    assert (first(multi, "layer5"), first(multi, "layer6")) == (5.0, 6.0)
    assert not report.skipped
    assert not report.left


def test_layout_of_one_head_into_two(tmp_path, multi, body):
    """BDL and ASANet: layer5 is the main head. The auxiliary one stays as initialised."""
    before = first(multi, "layer5")
    report = load_file(multi, save(tmp_path / "bdl.pth", {**body, **head("layer5", 2048, 19, 7.0)}))
    assert (first(multi, "layer5"), first(multi, "layer6")) == (before, 7.0)
    assert all(key.startswith("layer5.") for key in report.left)
    assert "left as initialised: layer5.conv2d_list.0.bias" in str(report)


def test_nested_and_wrapped_keys_without_batch_counts(tmp_path, single, body):
    """MaxSquare: {"state_dict": {"module....": ...}} beside numpy numbers."""
    tensors = {k: v for k, v in body.items() if "num_batches" not in k}
    tensors |= head("layer5", 2048, 19, 8.0)
    wrapped = {f"module.{key}": value for key, value in tensors.items()}
    contents = {"state_dict": wrapped, "best_MIou": np.float64(0.45), "iteration": 3}
    report = load_file(single, save(tmp_path / "max.pth", contents), require_main_head=True)
    assert first(single, "layer5") == 8.0
    assert len(report.loaded) == 632 - 104
    assert not report.left


def test_initial_weights_of_21_classes_keep_our_head(tmp_path, single, body):
    """The DeepLab file that AdaptSegNet starts from: prefix `Scale.`, another head."""
    before = first(single, "layer5")
    tensors = {**body, **head("layer5", 2048, 21, 9.0)}
    path = save(tmp_path / "init.pth", {f"Scale.{k}": v for k, v in tensors.items()})
    report = load_file(single, path)
    assert first(single, "layer5") == before
    assert set(report.skipped.values()) == {"a head of 21 classes, not 19"}
    with pytest.raises(
        InputError, match=r"main head of 19 classes in .*init.pth. Got: a head of 21"
    ):
        load_file(single, path, require_main_head=True)


def test_whole_image_classifiers_of_torchvision(tmp_path, single, body):
    tensors = {**body, "fc.weight": torch.zeros(1000, 2048), "fc.bias": torch.zeros(1000)}
    report = load_file(single, save(tmp_path / "resnet101.pth", tensors))
    assert set(report.skipped) == {"fc.weight", "fc.bias"}
    assert len(report.left) == 8


def test_vgg16_of_torchvision_skips_the_fourth_pooling(tmp_path):
    with torch.device("meta"):
        shapes = vgg16().state_dict()
    tensors = {
        key: torch.full((1,), float(key.split(".")[1])).expand(value.shape)
        for key, value in shapes.items()
    }
    network = DeepLabV2VGG16(16)
    report = load_file(network, save(tmp_path / "vgg16.pth", tensors))
    held = [network.features[i].weight[0, 0, 0, 0].item() for i in (21, 23, 25, 27)]
    assert held == [21, 24, 26, 28]
    fc = {f"features.{i}.{name}" for i in (29, 31) for name in ("weight", "bias")}
    assert fc <= set(report.left)
    assert set(report.skipped.values()) == {"a classifier of whole images"}
    assert len(report.skipped) == 6


def test_published_vgg_layout(tmp_path):
    network = DeepLabV2VGG16(19)
    with torch.device("meta"):
        shapes = DeepLabV2VGG16(19).state_dict()
    tensors = {key: torch.full((1,), 3.0).expand(v.shape) for key, v in shapes.items()}
    report = load_file(network, save(tmp_path / "vgg.pth", tensors), require_main_head=True)
    assert first(network, "classifier") == 3.0
    assert not report.left
    assert not report.skipped


def test_another_architecture_is_refused(tmp_path, single, body):
    with torch.device("meta"):
        vgg = vgg16().state_dict()
    tensors = {key: torch.zeros(1).expand(v.shape) for key, v in vgg.items()}
    with pytest.raises(InputError, match=r"DeepLabV2ResNet101 in .*vgg.pth. Got: .*conv1.weight"):
        load_file(single, save(tmp_path / "vgg.pth", tensors))
    tensors = {**body, "layer3.22.conv1.weight": torch.zeros(1, 1, 1, 1)}
    with pytest.raises(InputError, match=r"layer3.22.conv1.weight of shape \(1, 1, 1, 1\)"):
        load_file(single, save(tmp_path / "odd.pth", tensors))
    tensors = {k: v for k, v in body.items() if not k.startswith("layer3.22.")}  # ResNet-50 alike
    with pytest.raises(InputError, match=r"without 15 tensors, such as layer3.22"):
        load_file(single, save(tmp_path / "short.pth", tensors))


def test_branches_that_were_never_trained_are_noted(tmp_path, body):
    network = DeepLabV2ResNet101(19)
    tensors = {**body, **head("layer5", 2048, 19, 1.0)}
    for branch in (2, 3):
        weight = torch.empty(19, 2048, 3, 3).normal_(std=0.01)
        tensors[f"layer5.conv2d_list.{branch}.weight"] = weight
    report = load_file(network, save(tmp_path / "two.pth", tensors))
    assert "branches of rates [18, 24] look untrained" in str(report)
    assert "network.aspp_branches=2" in str(report)


def test_a_run_of_this_program(tmp_path):
    first_run, network = DeepLabV2VGG16(13), DeepLabV2VGG16(13)
    contents = {"format": 1, "state": {"segmenter": first_run.state_dict(), "step": 5}}
    report = load_file(network, save(tmp_path / "last.pt", contents))
    assert len(report.loaded) == 38
    assert all(
        torch.equal(ours, theirs)
        for ours, theirs in zip(network.parameters(), first_run.parameters(), strict=True)
    )


@pytest.mark.parametrize(
    ("write", "message"),
    [
        (lambda path: None, "Expected weights at .* Got: no such file"),
        (lambda path: path.write_text("not weights"), "Expected weights at .*w.pth. Got: "),
        (lambda path: torch.save([1, 2], path), "Expected named tensors in .*w.pth"),
        (lambda path: torch.save({"state_dict": {}}, path), "Expected named tensors"),
        (
            lambda path: torch.save({1: torch.zeros(2)}, path),
            "Expected weights of DeepLabV2ResNet101",
        ),
    ],
)
def test_files_that_hold_no_weights(tmp_path, single, write, message):
    path = tmp_path / "w.pth"
    write(path)
    with pytest.raises(InputError, match=message):
        load_file(single, path)
