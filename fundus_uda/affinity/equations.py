"""The paper, top to bottom: one function per equation, in the paper's order and symbols.

Shapes: B images, C classes, H rows, W columns, N neighbours (4 or 8). Probabilities P are the
softmax of a segmentation network, (B, C, H, W), in [0, 1], summing to 1 over C. Half-precision
input is converted to float32, so every function is safe under mixed precision.

Eq. 3 (ASC) and Eq. 6 (ASA) are sums of these terms and live in `engine.step`.
"""

from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F

from fundus_uda.affinity.bernoulli_kl import BernoulliKL
from fundus_uda.affinity.neighbors import (
    DIAGONAL,
    Offset,
    at_neighbor,
    half_of,
    neighbor_offsets,
    pad_edges,
)

Measure = Literal["bernoulli_kl", "released"]
Similarity = Literal["cosine", "dot"]
Domain = Literal["source", "target"]


# --- Section III-B: affinity space cleaning -------------------------------------------------


def affinity_cleaning_loss(
    prob: Tensor,
    neighbors: int = 8,
    similarity: Similarity = "cosine",
    reduction: Literal["mean", "sum"] = "mean",
) -> Tensor:
    r"""Compute Eq. 1, the mean dissimilarity of neighbouring predictions over the pixels.

    .. math:: L_{ASC} = \frac{1}{|X|} \sum_{x \in X} \sum_{n \in N(x)}
              1 - \frac{P_x \cdot P_n}{\|P_x\| \|P_n\|}

    Args:
        prob: probabilities P, (B, C, H, W).
        neighbors: 4 or 8.
        similarity: "cosine" as in the paper; "dot" omits the norms as the released code does,
            and so also rewards confidence (a uniform P costs 1 - 1/C instead of 0).
        reduction: reduction over the neighbours. The paper prints a sum but states the range
            [0, 1]: "mean" has that range, "sum" is the printed formula (`neighbors` times larger).

    Returns:
        A scalar.

    Raises:
        ValueError: wrong shape, or an unknown option.

    Examples:
        A pixel of the other class beside it costs 1 per neighbour; a uniform P costs nothing.

        >>> prob = torch.eye(2).reshape(1, 2, 1, 2)  # two pixels, one of each class
        >>> affinity_cleaning_loss(prob, neighbors=4).item()  # three of four neighbours are copies
        0.25
        >>> affinity_cleaning_loss(prob, neighbors=4, reduction="sum").item()
        1.0
        >>> affinity_cleaning_loss(torch.full((1, 4, 8, 8), 0.25)).item()
        0.0
    """
    if reduction not in ("mean", "sum"):
        raise ValueError(f'Expected `reduction` to be "mean" or "sum". Got: {reduction!r}.')
    offsets = neighbor_offsets(neighbors)
    loss = 1 - _mean_similarity(checked(prob), offsets, similarity).mean()
    return loss * neighbors if reduction == "sum" else loss


def affinity_map(
    prob: Tensor, neighbors: int = 8, directions: Literal["all", "diagonal"] = "all"
) -> Tensor:
    """Compute the mean cosine similarity of each pixel with its neighbours (Figs. 1 and 3).

    Args:
        prob: probabilities, (B, C, H, W).
        neighbors: 4 or 8, for `directions="all"`.
        directions: "diagonal" averages the four diagonal neighbours alone (Fig. 4).

    Returns:
        (B, H, W) in [0, 1]; 1 where all neighbours agree.

    Raises:
        ValueError: wrong shape, or an unknown option.

    Examples:
        Low along the edge between two regions, 1 inside them.

        >>> label = torch.tensor([[[0, 0, 1, 1]]]).expand(1, 3, 4)
        >>> prob = F.one_hot(label).permute(0, 3, 1, 2).float()
        >>> affinity_map(prob)[0, 1].tolist()
        [1.0, 0.625, 0.625, 1.0]
    """
    if directions not in ("all", "diagonal"):
        raise ValueError(f'Expected `directions` to be "all" or "diagonal". Got: {directions!r}.')
    offsets = DIAGONAL if directions == "diagonal" else neighbor_offsets(neighbors)
    return _mean_similarity(checked(prob), offsets, "cosine")


def mean_affinity(prob: Tensor, neighbors: int = 8) -> Tensor:
    """Compute the score of model selection without ground truth, (B,) in [0, 1] (Section IV-B).

    A constant prediction scores 1: guard against collapse before you select by it.
    """
    return affinity_map(prob, neighbors).mean(dim=(1, 2))


def segmentation_loss(
    logits: Tensor,
    label: Tensor,
    ignore_label: int = 255,
    weight_of_class: Tensor | None = None,
) -> Tensor:
    """Compute Eq. 2, the cross-entropy on labelled source pixels.

    Args:
        logits: (B, C, H, W).
        label: (B, H, W) int64 class indices, or `ignore_label` where a pixel has none.
        ignore_label: label of the pixels that count in neither numerator nor denominator.
        weight_of_class: (C,) float32, weight of a pixel by its class, in the numerator alone
            (see `baselines.class_weights`); None for 1, as in the paper.

    Returns:
        A scalar, the mean over the labelled pixels of the batch; 0 where there are none.

    Examples:
        >>> logits = torch.zeros(1, 2, 1, 3)  # a uniform P costs log 2 per labelled pixel
        >>> round(segmentation_loss(logits, torch.tensor([[[0, 1, 255]]])).item(), 4)
        0.6931
        >>> segmentation_loss(logits, torch.full((1, 1, 3), 255)).item()
        0.0
    """
    logits = _at_least_float32(logits)
    weight = None if weight_of_class is None else weight_of_class.to(logits.dtype)
    total = F.cross_entropy(logits, label, weight, ignore_index=ignore_label, reduction="sum")
    return total / (label != ignore_label).sum().clamp(min=1)


# --- Section III-C: adversarial affinity space alignment ------------------------------------


def affinity_space(
    prob: Tensor, neighbors: int = 8, measure: Measure = "bernoulli_kl", eps: float = 1e-4
) -> Tensor:
    r"""Compute the affinity space A of Section III-C, one KL-like value per class and neighbour.

    .. math:: a_n^i = p_x^i \log\frac{p_x^i}{p_n^i} + (1 - p_x^i) \log\frac{1 - p_x^i}{1 - p_n^i}

    Args:
        prob: probabilities P, (B, C, H, W).
        neighbors: N, 4 or 8.
        measure: "bernoulli_kl" is the formula above, on P clamped to [eps, 1 - eps].
            "released" is what the authors' code computes instead: the Bernoulli KL of
            q = p_x p_n against p_x, with q, p_x and their complements clamped to [eps, 1].
        eps: bound of the clamp, in (0, 0.5).

    Returns:
        (B, N * C, H, W), A = (A_1, ..., A_N): neighbour-major, neighbours in row-major order
        of (dy, dx). At least 0; at most log(1 / eps), reached by opposite one-hot pixels.

    Raises:
        ValueError: wrong shape, or an unknown option.

    Examples:
        >>> affinity_space(torch.rand(2, 3, 8, 8).softmax(dim=1)).shape  # 8 neighbours, 3 classes
        torch.Size([2, 24, 8, 8])
        >>> prob = torch.tensor([[0.8, 0.5], [0.2, 0.5]]).reshape(1, 2, 1, 2)
        >>> a = affinity_space(prob, neighbors=4).unflatten(1, (4, 2))
        >>> round(a[0, 2, 0, 0, 0].item(), 4)  # of the left pixel and its right neighbour
        0.1927
        >>> from math import log
        >>> round(0.8 * log(0.8 / 0.5) + 0.2 * log(0.2 / 0.5), 4)
        0.1927
    """
    offsets = neighbor_offsets(neighbors)
    prob = checked(prob)
    if not 0 < eps < 0.5:
        raise ValueError(f"Expected `eps` in (0, 0.5). Got: {eps}.")
    if measure == "bernoulli_kl":
        # A channels-last map would be read with a stride, at twice the time.
        affinity_BNCHW = BernoulliKL.apply(prob.contiguous(), offsets, eps)
    elif measure == "released":
        affinity_BNCHW = _released_measure(prob, offsets, eps)
    else:
        raise ValueError(
            f'Expected `measure` to be "bernoulli_kl" or "released". Got: {measure!r}.'
        )
    space: Tensor = affinity_BNCHW.flatten(1, 2)
    return space


def discriminator_loss(domain_logits: Tensor, domain: Domain) -> Tensor:
    """Compute Eq. 4 on the logits of D for maps of one domain: z = 1 for source, 0 for target.

    As in the released code, one sigmoid channel stands for the paper's two softmax channels,
    and the mean over positions for its sum.
    """
    if domain not in ("source", "target"):
        raise ValueError(f'Expected `domain` to be "source" or "target". Got: {domain!r}.')
    z = torch.full_like(domain_logits, 1.0 if domain == "source" else 0.0)
    return F.binary_cross_entropy_with_logits(domain_logits, z)


def adversarial_loss(target_domain_logits: Tensor) -> Tensor:
    """Compute Eq. 5, which is small where D takes the target's map for one of the source."""
    return discriminator_loss(target_domain_logits, "source")


# --- Computation of the above ---------------------------------------------------------------


def checked(prob: Tensor) -> Tensor:
    """Check probabilities, and return them in float32 at least.

    Raises:
        ValueError: not (B, C, H, W) in floating point.
    """
    if prob.dim() != 4 or not prob.is_floating_point():
        raise ValueError(
            "Expected probabilities of shape (B, C, H, W) in floating point. "
            f"Got: {tuple(prob.shape)} {prob.dtype}."
        )
    return _at_least_float32(prob)


def _at_least_float32(values: Tensor) -> Tensor:
    return values if values.dtype == torch.float64 else values.float()


def _mean_similarity(prob: Tensor, offsets: tuple[Offset, ...], similarity: Similarity) -> Tensor:
    """Average the similarity of each pixel and its neighbours over the offsets, (B, H, W).

    Similarity is symmetric, so one product serves a pair of opposite offsets: it is computed
    once on the padded map and read at the pixel and at its opposite neighbour.
    """
    if similarity == "cosine":  # as F.normalize with its eps of 1e-12, in a tenth of its time
        prob = prob * prob.square().sum(dim=1, keepdim=True).clamp(min=1e-24).rsqrt()
    elif similarity != "dot":
        raise ValueError(f'Expected `similarity` to be "cosine" or "dot". Got: {similarity!r}.')
    height, width = prob.shape[-2:]
    padded = pad_edges(prob.contiguous())  # a channels-last map would be read with a stride
    total = prob.new_zeros(prob.shape[0], height, width)
    for dy, dx in half_of(offsets):
        left, right = max(0, -dx), max(0, dx)
        first = padded[..., : height + 2 - dy, left : width + 2 - right]
        second = padded[..., dy:, left + dx : width + 2 - right + dx]
        product = (first * second).sum(dim=1)
        row, column = 1, 1 - left
        total = total + product[:, row : row + height, column : column + width]
        row, column = row - dy, column - dx
        total = total + product[:, row : row + height, column : column + width]
    return total / len(offsets)


def _released_measure(prob: Tensor, offsets: tuple[Offset, ...], eps: float) -> Tensor:
    log_p, log_not_p = prob.clamp(eps, 1).log(), (1 - prob).clamp(eps, 1).log()
    padded = pad_edges(prob)
    affinities = []
    for offset in offsets:
        joint = prob * at_neighbor(padded, offset)
        q, not_q = joint.clamp(eps, 1), (1 - joint).clamp(eps, 1)
        affinities.append(q * (q.log() - log_p) + not_q * (not_q.log() - log_not_p))
    return torch.stack(affinities, dim=1)
