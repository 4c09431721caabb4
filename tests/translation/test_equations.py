import pytest
import torch
from torch import nn

from fundus_uda.translation.equations import (
    cycle_loss,
    discriminator_loss,
    generator_loss,
    identity_loss,
    semantic_consistency_loss,
)


def test_adversarial_losses_are_least_squares():
    real, fake = torch.tensor([1.0, 0.5]), torch.tensor([0.0, 2.0])
    assert generator_loss(fake).item() == pytest.approx((1 + 1) / 2)
    assert discriminator_loss(real, fake).item() == pytest.approx((0.25 / 2 + 4 / 2) / 2)


def test_a_discriminator_that_knows_all_has_no_loss_and_its_generator_all():
    real, fake = torch.ones(2, 1, 3, 3), torch.zeros(2, 1, 3, 3)
    assert discriminator_loss(real, fake) == 0
    assert generator_loss(fake) == 1


@pytest.mark.parametrize("loss", [cycle_loss, identity_loss])
def test_reconstruction_losses_are_mean_absolute_differences(loss):
    image = torch.tensor([-1.0, 0.0, 0.5, 1.0])
    assert loss(image, image) == 0
    assert loss(torch.zeros(4), image).item() == pytest.approx(2.5 / 4)


class Threshold(nn.Module):
    """Class 1 where the image is above 0, as sure as `confidence`."""

    def __init__(self, confidence):
        super().__init__()
        self.confidence = confidence

    def forward(self, image):
        logit = self.confidence * image[:, :1].sign()
        return torch.cat([-logit, logit], dim=1)


IMAGE = torch.tensor([[1.0, -1.0], [-0.5, 0.5]])[None, None].expand(1, 3, 2, 2)


def test_semantic_loss_is_zero_where_predictions_agree():
    assert semantic_consistency_loss(Threshold(50), IMAGE * 0.1, IMAGE) == 0


def test_semantic_loss_is_the_cross_entropy_against_the_prediction_before():
    """By hand: one of four pixels changes class, with logits of -1 and 1."""
    translated = IMAGE.clone()
    translated[..., 0, 0] = -1
    right, wrong = (torch.log1p(torch.exp(torch.tensor(z))).item() for z in (-2.0, 2.0))
    loss = semantic_consistency_loss(Threshold(1), translated, IMAGE)
    assert loss.item() == pytest.approx((3 * right + wrong) / 4)


def test_semantic_loss_moves_the_translation_alone():
    image, translated = (IMAGE.clone().requires_grad_() for _ in range(2))
    segmenter = nn.Conv2d(3, 2, 1)
    semantic_consistency_loss(segmenter, translated, image).backward()
    assert image.grad is None
    assert translated.grad.abs().sum() > 0
