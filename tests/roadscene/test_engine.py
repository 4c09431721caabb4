"""What road scenes ask of the engine: two predictions, lists in order, workers that complain."""

import copy
import multiprocessing

import pytest
import torch
from torch import nn

from fundus_uda.affinity import adversarial_loss, discriminator_loss, segmentation_loss
from fundus_uda.engine.batches import Batch, batch_keys, batch_stream
from fundus_uda.engine.methods import METHODS
from fundus_uda.engine.settings import EngineSettings
from fundus_uda.engine.state import ParameterGroup, build_state
from fundus_uda.engine.step import adaptation_step
from fundus_uda.errors import InputError
from roadscene.data import Frame
from roadscene.deeplab_v2 import DeepLabV2ResNet101
from roadscene.images import RoadImages
from roadscene.model import NORMALISATIONS
from tests.fixtures.tiny_streets import write_image

CPU = torch.device("cpu")
AUXILIARY = {"segmentation_weight": 0.1, "adversarial_weight": 0.0002}


class TwoLevels(nn.Module):
    """(main, auxiliary) in training mode, main alone in evaluation mode."""

    def __init__(self) -> None:
        super().__init__()
        self.main, self.auxiliary = nn.Conv2d(3, 4, 3, padding=1), nn.Conv2d(3, 4, 1)

    def forward(self, image):
        return (self.main(image), self.auxiliary(image)) if self.training else self.main(image)


def engine_settings(method, auxiliary=AUXILIARY):
    return EngineSettings.model_validate(
        {
            "method": method,
            "steps": 10,
            "batch_size": 1,
            "snapshot_every": 10,
            "segmenter": {"lr": 0.1, "momentum": 0, "weight_decay": 0},
            "adaptation": {"adversarial_weight": 0.001, "auxiliary": auxiliary},
        }
    )


def batches():
    generator = torch.Generator().manual_seed(0)
    image_s, image_t = torch.randn(2, 1, 3, 32, 32, generator=generator)
    return Batch(image_s, torch.randint(0, 4, (1, 32, 32), generator=generator)), Batch(
        image_t, None
    )


def groups(network):
    return [ParameterGroup(list(network.parameters()), 1.0)]


@pytest.mark.parametrize("method", ["adaptsegnet", "advent", "asa"])
def test_multi_level_step_is_the_weighted_sum_of_both_levels(method):
    of = engine_settings(method)
    torch.manual_seed(0)
    network = TwoLevels()
    state = build_state(network, groups(network), torch.ones(4), of, CPU)
    source, target = batches()
    levels = [
        ("", 0, state.discriminator, 1.0, 0.001),
        ("_auxiliary", 1, state.auxiliary_discriminator, 0.1, 0.0002),
    ]
    sees, expected, objective = METHODS[method].discriminator_input, {}, 0
    for suffix, index, D, segmentation_weight, adversarial_weight in levels:
        logits_s, logits_t = network(source.image)[index], network(target.image)[index]
        A_s, A_t = (sees(logits.softmax(dim=1), of.affinity) for logits in (logits_s, logits_t))
        expected[f"segmentation{suffix}"] = segmentation_loss(logits_s, source.label)
        expected[f"adversarial{suffix}"] = adversarial_loss(D(A_t))
        both = discriminator_loss(D(A_s), "source") + discriminator_loss(D(A_t), "target")
        expected[f"discriminator{suffix}"] = both / 2
        objective = objective + segmentation_weight * expected[f"segmentation{suffix}"]
        objective = objective + adversarial_weight * expected[f"adversarial{suffix}"]
    parameters = list(network.parameters())
    gradients = torch.autograd.grad(objective, parameters)
    wanted = [p.detach() - 0.1 * g for p, g in zip(parameters, gradients, strict=True)]

    losses = adaptation_step(state, source, target, of)
    assert losses == pytest.approx({name: float(loss.detach()) for name, loss in expected.items()})
    for parameter, value in zip(parameters, wanted, strict=True):
        torch.testing.assert_close(parameter.detach(), value)


def test_multi_level_state_is_saved_and_restored():
    of = engine_settings("asa")
    states = []
    for seed in (0, 1):
        torch.manual_seed(seed)
        network = TwoLevels()
        states.append(build_state(network, groups(network), torch.ones(4), of, CPU))
    adaptation_step(states[0], *batches(), of)
    states[1].load_state_dict(copy.deepcopy(states[0].state_dict()))
    for state in states:
        adaptation_step(state, *batches(), of)
    for part in ("segmenter", "discriminator", "auxiliary_discriminator"):
        first, second = (getattr(state, part).state_dict() for state in states)
        assert all(torch.equal(first[key], second[key]) for key in first), part


def test_one_step_of_the_two_headed_resnet():
    torch.manual_seed(0)
    network = DeepLabV2ResNet101(4, branches=2, auxiliary=True)
    before = {name: head.conv2d_list[0].weight.clone() for name, head in network.heads().items()}
    state = build_state(network, network.parameter_groups(10, "repeated"),
                        torch.ones(4), engine_settings("advent"), CPU)  # fmt: skip
    losses = adaptation_step(state, *batches(), engine_settings("advent"))
    assert losses.keys() >= {"segmentation_auxiliary", "adversarial_auxiliary"}
    for name, weight in before.items():
        assert not torch.equal(network.heads()[name].conv2d_list[0].weight, weight)


def test_order_of_the_list_without_shuffling():
    keys = [key for step in range(3) for key in batch_keys(4, 2, 0, "source", step, shuffle=False)]
    assert [key[0] for key in keys] == [0, 1, 2, 3, 0, 1]


@pytest.mark.parametrize("workers", [0, 1])
def test_a_bad_label_is_named_even_from_a_worker(tmp_path, workers, monkeypatch):
    monkeypatch.setattr("roadscene.images.MOST_CACHED", 0)  # each frame is read in its turn
    write_image(tmp_path / "image.png")
    (tmp_path / "broken.png").write_bytes(b"nothing")
    wrong = Frame("x", tmp_path / "image.png", tmp_path / "broken.png", "cityscapes")
    images = RoadImages([wrong], (32, 32), 19, NORMALISATIONS["bgr"])
    stream = batch_stream(images, batch_size=1, seed=0, domain="source", start=0,
                          workers=workers, pin_memory=False)  # fmt: skip
    with pytest.raises(InputError, match="^Expected a readable label at .*broken.png") as caught:
        next(stream)
    assert "Traceback" not in str(caught.value)
    assert multiprocessing.active_children() == []  # they would keep the program from its end
