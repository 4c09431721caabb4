"""The losses of CycleGAN (Zhu et al., ICCV 2017) and CyCADA (Hoffman et al., ICML 2018).

Images x are (B, 3, H, W), S the source and T the target, G_ST and G_TS the generators, D_S and D_T
the discriminators, f_S the source segmenter. Each function is one term of one direction.
"""

import torch
from torch import Tensor, nn

from fundus_uda.affinity import segmentation_loss


def generator_loss(score_fake: Tensor) -> Tensor:
    r"""Compute the generator's half of CycleGAN Eq. 1, by least squares as in Section 4.

    .. math:: L_G = E[(D_T(G_{ST}(x_S)) - 1)^2]

    Args:
        score_fake: D_T(G_ST(x_S)), of any shape.
    """
    return (score_fake - 1).square().mean()


def discriminator_loss(score_real: Tensor, score_fake: Tensor) -> Tensor:
    r"""Compute the discriminator's half of CycleGAN Eq. 1, by least squares, times 1/2 (Sec. 7.1).

    .. math:: L_D = \frac{1}{2} \left( E[(D_T(x_T) - 1)^2] + E[D_T(G_{ST}(x_S))^2] \right)

    Args:
        score_real: D_T(x_T).
        score_fake: D_T(G_ST(x_S)) of detached translations.
    """
    return ((score_real - 1).square().mean() + score_fake.square().mean()) / 2


def cycle_loss(restored: Tensor, image: Tensor) -> Tensor:
    r"""Compute one direction of CycleGAN Eq. 2: translating there and back restores the image.

    .. math:: L_{cyc} = E[\| G_{TS}(G_{ST}(x_S)) - x_S \|_1], \text{ as a mean over pixels}

    Args:
        restored: G_TS(G_ST(x_S)).
        image: x_S.
    """
    return (restored - image).abs().mean()


def identity_loss(translated: Tensor, image: Tensor) -> Tensor:
    r"""Compute the identity loss of CycleGAN, Section 5.2: images of the target stay as they are.

    .. math:: L_{identity} = E[\| G_{ST}(x_T) - x_T \|_1], \text{ as a mean over pixels}

    Args:
        translated: G_ST(x_T).
        image: x_T.
    """
    return (translated - image).abs().mean()


def semantic_consistency_loss(segmenter: nn.Module, translated: Tensor, image: Tensor) -> Tensor:
    r"""Compute one direction of CyCADA Eq. 4: f_S predicts the same before and after translation.

    .. math:: L_{sem} = L_{task}(f_S, G_{ST}(x_S), \arg\max f_S(x_S))

    Args:
        segmenter: f_S, a fixed network from images to logits (B, C, H, W).
        translated: G_ST(x_S), or G_TS(x_T) for the other direction.
        image: x_S, or x_T.
    """
    with torch.no_grad():
        predicted = segmenter(image).argmax(dim=1)
    return segmentation_loss(segmenter(translated), predicted)
