"""What other methods put in place of the affinity space, and how they weigh classes."""

import math

import torch
from torch import Tensor

from fundus_uda.affinity.equations import checked


def self_information(prob: Tensor) -> Tensor:
    """-p log p of each class, over log C: (B, C, H, W) (ADVENT, Vu et al., CVPR 2019, Eq. 4)."""
    prob = checked(prob)
    return -torch.xlogy(prob, prob.clamp(min=1e-30)) / math.log(prob.shape[1])


def entropy_loss(prob: Tensor) -> Tensor:
    """Mean normalised entropy of the pixels, in [0, 1] (ADVENT's MinEnt, Eqs. 2 and 3)."""
    return self_information(prob).sum(dim=1).mean()


def maximum_squares_loss(prob: Tensor) -> Tensor:
    """-1/2 of the mean squared probability (MaxSquare, Chen et al., ICCV 2019, Eq. 5).

    The mean is also over the classes, as in that method's public code.
    """
    return -checked(prob).square().mean() / 2


def class_weights(shares: Tensor, balance: float) -> Tensor:
    """share^-balance of each class, such that a labelled pixel weighs 1 on average.

    So that small structures, such as the cup, are not left to the large ones.

    Args:
        shares: (C,) of the labelled pixels; those below a thousandth count as that.
        balance: 0 weighs all pixels alike, 1 all classes alike.

    Returns:
        (C,) float32.
    """
    weights = (shares / shares.sum()).clamp(min=1e-3) ** -balance
    return (weights / (weights * shares / shares.sum()).sum()).float()
