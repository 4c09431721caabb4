import pytest
import torch
from torch.nn import functional as F

from fundus_uda.engine.checkpoint import checksum, save_checkpoint
from fundus_uda.engine.state import build_state
from fundus_uda.errors import InputError
from roadscene.deeplab_v2 import DeepLabV2VGG16
from roadscene.model import build_network, load_model, logits_at, normalisation, parameter_groups
from tests.fixtures.tiny_streets import NETWORK, settings

CPU = torch.device("cpu")
VGG = {"architecture": "deeplab_v2", "backbone": "vgg16", "weights": "random"}


def save(path, of):
    network, _ = build_network(of)
    shares = torch.ones(of.data.classes)
    state = build_state(network, parameter_groups(network, of), shares, of, CPU)
    save_checkpoint(path, state, of, {"source": "", "target": ""}, of.data.classes)
    return network


def test_a_run_is_read_back(tmp_path):
    of = settings(tmp_path)
    network = save(tmp_path / "last.pt", of).eval()
    loaded = load_model(tmp_path, CPU)
    assert loaded.settings == of
    assert loaded.step == 0
    image = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        assert torch.equal(loaded.network(image), network(image))


def test_published_checkpoint_needs_a_head_of_the_right_size(tmp_path):
    torch.save(DeepLabV2VGG16(16).state_dict(), tmp_path / "vgg.pth")
    data = settings(tmp_path).data.model_copy(update={"classes": 16}).model_dump()
    loaded = load_model(tmp_path / "vgg.pth", CPU, settings(tmp_path, network=VGG, data=data))
    assert loaded.step is None
    assert len(loaded.report.loaded) == 38
    with pytest.raises(InputError, match="main head of 19 classes in .*vgg.pth. Got: a head of 16"):
        load_model(tmp_path / "vgg.pth", CPU, settings(tmp_path, network=VGG))
    with pytest.raises(InputError, match="Expected settings of deeplab_v2"):
        load_model(tmp_path / "vgg.pth", CPU, settings(tmp_path))


def test_missing_or_foreign_checkpoints(tmp_path):
    with pytest.raises(InputError, match="run folder with last.pt"):
        load_model(tmp_path, CPU)
    of = settings(tmp_path)
    save(tmp_path / "last.pt", of)
    saved = torch.load(tmp_path / "last.pt", weights_only=True)
    saved["state"]["segmenter"].pop("segmentation_head.0.weight")
    saved.pop("checksum")
    torch.save(saved | {"checksum": checksum(saved)}, tmp_path / "cut.pt")
    with pytest.raises(InputError, match="weights of deeplab_v3plus with 19 classes in .*cut.pt"):
        load_model(tmp_path / "cut.pt", CPU)


@pytest.mark.parametrize("network", [NETWORK, VGG])
def test_auxiliary_head_is_resnets_alone(tmp_path, network):
    of = settings(tmp_path, network=network, adaptation={"auxiliary": {}})
    with pytest.raises(InputError, match="network.backbone=resnet101 of deeplab_v2"):
        build_network(of)


def test_torchvision_weights_want_torchvisions_normalisation(tmp_path):
    of = settings(tmp_path, network={**VGG, "weights": "imagenet"})
    with pytest.raises(InputError, match="network.normalisation=torchvision"):
        build_network(of)


def test_groups_and_input_of_deeplab_v3plus(tmp_path):
    of = settings(tmp_path, segmenter={"lr": 0.1, "head_lr_factor": 4})
    network, report = build_network(of)
    encoder, head = parameter_groups(network, of)
    assert report is None
    assert (encoder.lr_factor, head.lr_factor) == (1, 4)
    assert len(encoder.parameters) + len(head.parameters) == len(list(network.parameters()))
    expected = normalisation(of)
    assert expected.channels == "RGB"
    assert expected.mean[0] == pytest.approx(0.5 * 255)  # as that encoder was trained


def test_logits_are_upsampled_as_each_network_does_it():
    torch.manual_seed(0)
    image = torch.randn(1, 3, 32, 32)
    vgg = DeepLabV2VGG16(3).eval()
    convolution = torch.nn.Conv2d(3, 2, 1)
    with torch.no_grad():
        assert torch.equal(logits_at(vgg, image, (40, 50)), vgg(image, (40, 50)))
        plain = F.interpolate(convolution(image), (40, 50), mode="bilinear", align_corners=False)
        assert torch.equal(logits_at(convolution, image, (40, 50)), plain)
