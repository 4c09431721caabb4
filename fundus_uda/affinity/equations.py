"""The paper, top to bottom: one function per equation, in the paper's order and symbols.

Shapes: B images, C classes, H rows, W columns, N neighbours (4 or 8). Probabilities P are the
softmax of a segmentation network, (B, C, H, W), in [0, 1], summing to 1 over C. Half precision
is computed in float32, so that all of this is safe under mixed precision.

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
    r"""Eq. 1, the dissimilarity of neighbouring predictions, averaged over the pixels.

    .. math:: L_{ASC} = \frac{1}{|X|} \sum_{x \in X} \sum_{n \in N(x)}
              1 - \frac{P_x \cdot P_n}{\|P_x\| \|P_n\|}

    Args:
        prob: probabilities P, (B, C, H, W).
        neighbors: 4 or 8.
        similarity: "cosine" as in the paper; "dot" leaves the norms out, as the released code
            does, and so also rewards confidence (a uniform P costs 1 - 1/C instead of 0).
        reduction: over the neighbours. The paper prints a sum yet states the range [0, 1]:
            "mean" has that range, "sum" is the formula as printed (`neighbors` times larger).

    Returns:
        A scalar.

    Raises:
        ValueError: wrong shape, or an unknown option.
    """
    if reduction not in ("mean", "sum"):
        raise ValueError(f'Expected `reduction` to be "mean" or "sum". Got: {reduction!r}.')
    offsets = neighbor_offsets(neighbors)
    loss = 1 - _mean_similarity(checked(prob), offsets, similarity).mean()
    return loss * neighbors if reduction == "sum" else loss


def affinity_map(
    prob: Tensor, neighbors: int = 8, directions: Literal["all", "diagonal"] = "all"
) -> Tensor:
    """Mean cosine similarity of each pixel with its neighbours (Figs. 1 and 3).

    Args:
        prob: probabilities, (B, C, H, W).
        neighbors: 4 or 8, for `directions="all"`.
        directions: "diagonal" averages the four diagonal neighbours alone (Fig. 4).

    Returns:
        (B, H, W) in [0, 1]; 1 where all neighbours agree.

    Raises:
        ValueError: wrong shape, or an unknown option.
    """
    if directions not in ("all", "diagonal"):
        raise ValueError(f'Expected `directions` to be "all" or "diagonal". Got: {directions!r}.')
    offsets = DIAGONAL if directions == "diagonal" else neighbor_offsets(neighbors)
    return _mean_similarity(checked(prob), offsets, "cosine")


def mean_affinity(prob: Tensor, neighbors: int = 8) -> Tensor:
    """The score of ground-truth-free model selection, (B,) in [0, 1] (Section IV-B).

    A constant prediction scores 1: guard against collapse before you select by it.
    """
    return affinity_map(prob, neighbors).mean(dim=(1, 2))


def segmentation_loss(
    logits: Tensor,
    label: Tensor,
    ignore_label: int = 255,
    weight_of_class: Tensor | None = None,
) -> Tensor:
    """Eq. 2, the cross-entropy on labelled source pixels.

    Args:
        logits: (B, C, H, W).
        label: (B, H, W) int64 class indices, or `ignore_label` where a pixel has none.
        ignore_label: pixels that do not count, neither above nor below the fraction.
        weight_of_class: (C,) float32, of the pixels labelled so, above the fraction (see
            `compared.class_weights`); None for 1, as in the paper.

    Returns:
        A scalar, the mean over the labelled pixels of the batch; 0 where there are none.
    """
    logits = _at_least_float32(logits)
    weight = None if weight_of_class is None else weight_of_class.to(logits.dtype)
    total = F.cross_entropy(logits, label, weight, ignore_index=ignore_label, reduction="sum")
    return total / (label != ignore_label).sum().clamp(min=1)


# --- Section III-C: adversarial affinity space alignment ------------------------------------


def affinity_space(
    prob: Tensor, neighbors: int = 8, measure: Measure = "bernoulli_kl", eps: float = 1e-4
) -> Tensor:
    r"""The affinity space A of Section III-C, one KL-like value per class and neighbour.

    .. math:: a_n^i = p_x^i \log\frac{p_x^i}{p_n^i} + (1 - p_x^i) \log\frac{1 - p_x^i}{1 - p_n^i}

    Args:
        prob: probabilities P, (B, C, H, W).
        neighbors: N, 4 or 8.
        measure: "bernoulli_kl" is the formula above, on P clamped to [eps, 1 - eps].
            "released" is what the authors' code computes instead: the Bernoulli KL of
            q = p_x p_n against p_x, with q, p_x and their complements clamped to [eps, 1].
        eps: the clamp, in (0, 0.5).

    Returns:
        (B, N * C, H, W), A = (A_1, ..., A_N): neighbour-major, neighbours in row-major order
        of (dy, dx). At least 0; at most log(1 / eps), reached by opposite one-hot pixels.

    Raises:
        ValueError: wrong shape, or an unknown option.
    """
    offsets = neighbor_offsets(neighbors)
    prob = checked(prob)
    if not 0 < eps < 0.5:
        raise ValueError(f"Expected `eps` in (0, 0.5). Got: {eps}.")
    if measure == "bernoulli_kl":
        affinity_BNCHW = BernoulliKL.apply(prob.clamp(eps, 1 - eps), offsets)
    elif measure == "released":
        affinity_BNCHW = _released_measure(prob, offsets, eps)
    else:
        raise ValueError(
            f'Expected `measure` to be "bernoulli_kl" or "released". Got: {measure!r}.'
        )
    space: Tensor = affinity_BNCHW.flatten(1, 2)
    return space


def discriminator_loss(domain_logits: Tensor, domain: Domain) -> Tensor:
    """Eq. 4 on the logits of D for maps of one domain: z = 1 for the source, 0 for the target.

    One sigmoid channel stands for the paper's two softmax channels; the mean over positions
    for its sum, as in the released code.
    """
    if domain not in ("source", "target"):
        raise ValueError(f'Expected `domain` to be "source" or "target". Got: {domain!r}.')
    z = torch.full_like(domain_logits, 1.0 if domain == "source" else 0.0)
    return F.binary_cross_entropy_with_logits(domain_logits, z)


def adversarial_loss(target_domain_logits: Tensor) -> Tensor:
    """Eq. 5: small where D takes the target's map for one of the source."""
    return discriminator_loss(target_domain_logits, "source")


# --- How the above are computed -------------------------------------------------------------


def checked(prob: Tensor) -> Tensor:
    """In float32 at least.

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
    """(B, H, W): mean over the offsets of the similarity of each pixel and its neighbour.

    Similarity is symmetric, so one product serves a pair of opposite offsets: it is computed
    once on the padded map and read at the pixel and at its opposite neighbour.
    """
    if similarity == "cosine":
        prob = F.normalize(prob, dim=1, eps=1e-12)
    elif similarity != "dot":
        raise ValueError(f'Expected `similarity` to be "cosine" or "dot". Got: {similarity!r}.')
    height, width = prob.shape[-2:]
    padded = pad_edges(prob)
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
