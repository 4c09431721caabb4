import pytest
import torch

from fundus_uda.engine.checkpoint import save_checkpoint
from fundus_uda.engine.state import ParameterGroup, build_state
from fundus_uda.errors import InputError
from fundus_uda.networks import deeplab_v3plus
from fundus_uda.segmentation.model import load_model
from tests.fixtures.small_run import small_settings

CPU = torch.device("cpu")


def write_model(path, cameras, classes=3, says_classes=3, *overrides):
    settings = small_settings(
        cameras, "network.encoder=resnet18", "network.weights=random", *overrides
    )
    network = deeplab_v3plus("resnet18", "random", classes)
    groups = [ParameterGroup(list(network.parameters()), 1.0)]
    state = build_state(network, groups, torch.ones(says_classes), settings, CPU)
    save_checkpoint(path, state, settings, {}, says_classes)
    return network


def test_a_run_folder_or_a_file_gives_the_network_back(cameras, tmp_path):
    network = write_model(tmp_path / "last.pt", cameras)
    for path in (tmp_path, tmp_path / "last.pt"):
        model = load_model(path, CPU)
        assert not model.network.training
        assert (model.device, model.step) == (CPU, 0)
        assert model.settings.network.encoder == "resnet18"
        for name, tensor in model.network.state_dict().items():
            assert torch.equal(tensor, network.state_dict()[name])


def test_another_class_count_is_named(cameras, tmp_path):
    write_model(tmp_path / "last.pt", cameras, classes=19, says_classes=19)
    with pytest.raises(InputError, match="model of 3 classes .* Got: 19 classes"):
        load_model(tmp_path, CPU)


def test_weights_that_do_not_fit_are_named(cameras, tmp_path):
    write_model(tmp_path / "last.pt", cameras, classes=4)
    with pytest.raises(InputError, match="weights of DeepLabv3\\+ with resnet18 .* size mismatch"):
        load_model(tmp_path, CPU)


def test_a_folder_without_a_checkpoint(tmp_path):
    with pytest.raises(InputError, match="run folder with last.pt"):
        load_model(tmp_path, CPU)
