import pytest
import torch

from fundus_uda.translation.generator import ResnetGenerator, translate
from fundus_uda.translation.patch_discriminator import PatchDiscriminator


def count(network):
    return sum(parameter.numel() for parameter in network.parameters())


def test_the_papers_networks_have_the_papers_layers():
    """Weights and biases, layer by layer: c7s1-64, d128, d256, 9 x R256, u128, u64, c7s1-3."""
    generator = ResnetGenerator(64, 9, start_at_identity=False)
    by_hand = 9408 + 64 + 73728 + 128 + 294912 + 256 + 18 * (589824 + 256)
    by_hand += 294912 + 128 + 73728 + 64 + 9408 + 3
    assert count(generator) == by_hand == 11_378_179
    assert count(PatchDiscriminator(64)) == 2_764_737


def test_generators_give_images_of_the_same_size_and_range():
    image = torch.rand(2, 3, 32, 40) * 2 - 1
    translated = ResnetGenerator(4, 1, start_at_identity=False)(image)
    assert translated.shape == image.shape
    assert translated.abs().max() < 1


def test_a_generator_may_start_at_the_identity():
    image = torch.rand(1, 3, 32, 32) * 2 - 1
    generator = ResnetGenerator(4, 1, start_at_identity=True)
    assert torch.equal(generator(image), image)
    (generator(image) - 1).square().mean().backward()
    assert generator.layers[-1].weight.grad.abs().sum() > 0


@pytest.mark.parametrize("size", [(32, 32), (33, 35), (34, 50)])
def test_images_of_any_size_are_translated(size):
    image = torch.rand(1, 3, *size)
    generator = ResnetGenerator(4, 1, start_at_identity=True)
    assert torch.equal(translate(generator, image), image)


def test_each_score_sees_70_by_70_pixels():
    network = PatchDiscriminator(2).double()
    for layer in network.layers:  # normalisation looks at the whole image, and is left out here
        if isinstance(layer, torch.nn.Conv2d):
            torch.nn.init.constant_(layer.weight, 1)
    network.layers = torch.nn.Sequential(
        *(layer for layer in network.layers if isinstance(layer, torch.nn.Conv2d))
    )
    image = torch.zeros(1, 3, 256, 256, dtype=torch.double, requires_grad=True)
    score = network(image)
    assert score.shape == (1, 1, 30, 30)
    score[0, 0, 15, 15].backward()
    seen = image.grad[0, 0] != 0
    assert seen.any(dim=0).sum() == 70
    assert seen.any(dim=1).sum() == 70
