"""Terms of the compared methods in place of the affinity space, and class weights."""

import math

import torch
from torch import Tensor

from fundus_uda.affinity.equations import checked


def self_information(prob: Tensor) -> Tensor:
    """Compute -p log p / log C per class, (B, C, H, W) (ADVENT, Vu et al., CVPR 2019, Eq. 4)."""
    prob = checked(prob)
    return -torch.xlogy(prob, prob.clamp(min=1e-30)) / math.log(prob.shape[1])


def entropy_loss(prob: Tensor) -> Tensor:
    """Compute the pixels' mean normalised entropy, in [0, 1] (ADVENT's MinEnt, Eqs. 2 and 3).

    Examples:
        >>> entropy_loss(torch.full((1, 4, 8, 8), 0.25)).item()
        1.0
        >>> entropy_loss(torch.eye(2).reshape(1, 2, 1, 2)).item()
        0.0
    """
    return self_information(prob).sum(dim=1).mean()


def maximum_squares_loss(prob: Tensor) -> Tensor:
    """Compute -1/2 of the mean squared probability (MaxSquare, Chen et al., ICCV 2019, Eq. 5).

    The mean is taken over the classes too, as in that method's public code.
    """
    return -checked(prob).square().mean() / 2


def class_weights(shares: Tensor, balance: float) -> Tensor:
    """Compute share^-balance of each class, scaled so that a labelled pixel weighs 1 on average.

    The weights keep large structures from outweighing small ones, such as the cup.

    Args:
        shares: (C,), shares of the labelled pixels; those below 0.001 count as 0.001.
        balance: in [0, 1]; 0 weighs all pixels alike, 1 all classes alike.

    Returns:
        (C,) float32.
    """
    weights = (shares / shares.sum()).clamp(min=1e-3) ** -balance
    return (weights / (weights * shares / shares.sum()).sum()).float()
