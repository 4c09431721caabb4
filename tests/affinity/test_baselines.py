import math

import pytest
import torch

from fundus_uda.affinity import (
    class_weights,
    entropy_loss,
    maximum_squares_loss,
    segmentation_loss,
    self_information,
)


def test_maps_and_regularisers_of_the_compared_methods_by_hand():
    prob = torch.tensor([0.5, 0.25, 0.25], dtype=torch.float64).reshape(1, 3, 1, 1)
    entropy = (0.5 * math.log(2) + 0.5 * math.log(4)) / math.log(3)
    assert self_information(prob)[0, 0, 0, 0].item() == pytest.approx(
        0.5 * math.log(2) / math.log(3)
    )
    assert entropy_loss(prob).item() == pytest.approx(entropy)
    assert maximum_squares_loss(prob).item() == pytest.approx(-(0.25 + 2 * 0.0625) / 3 / 2)
    one_hot = torch.tensor([1.0, 0.0]).reshape(1, 2, 1, 1).requires_grad_()
    (gradient,) = torch.autograd.grad(entropy_loss(one_hot), one_hot)
    assert torch.isfinite(gradient).all()


def test_class_weights_by_hand_and_in_the_segmentation_loss():
    weights = class_weights(torch.tensor([0.64, 0.36]), balance=0.5)
    torch.testing.assert_close(weights, torch.tensor([1 / 0.8, 1 / 0.6]) / (0.8 + 0.6))
    assert class_weights(torch.tensor([3.0, 1.0]), balance=0).tolist() == [1, 1]
    equal = class_weights(torch.tensor([0.9, 0.1, 0.0]), balance=1)
    assert (equal * torch.tensor([0.9, 0.1, 0.0])).tolist() == pytest.approx([0.5, 0.5, 0])

    rare = class_weights(torch.tensor([9999.0, 1.0], dtype=torch.float64), balance=1)
    by_hand = torch.tensor([1 / 0.9999, 1 / 0.001]) / (1 + 1e-4 / 1e-3)  # 1e-4 counts as 1e-3
    torch.testing.assert_close(rare, by_hand)

    logits, label = (
        torch.tensor([0.3, -1.0, 2.0, 0.5, 0.0, 1.0]).reshape(1, 2, 1, 3),
        torch.tensor([[[0, 1, 255]]]),
    )
    log_p = logits.log_softmax(dim=1)[0]
    expected = -(weights[0] * log_p[0, 0, 0] + weights[1] * log_p[1, 0, 1]) / 2
    loss = segmentation_loss(logits, label, weight_of_class=weights)
    torch.testing.assert_close(loss, expected)
