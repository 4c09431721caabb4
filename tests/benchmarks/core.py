"""The affinity core: against other formulations, and its growth."""

from collections.abc import Callable, Iterator
from unittest.mock import patch

import torch
from torch import Tensor
from torch.nn import functional as F

from fundus_uda.affinity import affinity_cleaning_loss, affinity_map, affinity_space, fused
from fundus_uda.affinity.neighbors import at_neighbor, neighbor_offsets, pad_edges
from tests.benchmarks.measure import Row, Work, compare

Shape = tuple[int, int, int, int]
SHAPES: tuple[Shape, ...] = ((8, 3, 256, 256), (4, 19, 192, 256), (1, 19, 512, 1024))
"""(B, C, H, W) of the predictions of both CPU profiles and of the paper's road scenes."""


def per_pair(prob: Tensor) -> Tensor:
    """The formula of Section III-C as it stands, each logarithm for each pair."""
    p = prob.clamp(1e-4, 1 - 1e-4)
    padded = pad_edges(p)
    space = []
    for offset in neighbor_offsets(8):
        n = at_neighbor(padded, offset)
        space.append(p * (p / n).log() + (1 - p) * ((1 - p) / (1 - n)).log())
    return torch.cat(space, dim=1)


def by_normalize(prob: Tensor) -> Tensor:
    """The affinity map of vectors that F.normalize has divided by their norms."""
    normal = F.normalize(prob, dim=1)
    padded = pad_edges(normal)
    return sum((normal * at_neighbor(padded, o)).sum(dim=1) for o in neighbor_offsets(8)) / 8


def without_compiler(work: Work) -> Work:
    """The same work, with the affinity space computed by torch's operations."""

    def patched() -> None:
        with patch.object(fused, "computes", lambda *_: False):
            work()

    return patched


def prediction(shape: Shape, layout: torch.memory_format = torch.contiguous_format) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    prob = (3 * torch.randn(shape, generator=generator)).softmax(dim=1)
    return prob.contiguous(memory_format=layout)


def forward_and_backward(function: Callable[[Tensor], Tensor], prob: Tensor) -> Work:
    with torch.no_grad():
        upstream = torch.ones_like(function(prob))

    def work() -> None:
        function(prob.detach().requires_grad_()).backward(upstream)

    return work


def rows(shapes: tuple[Shape, ...] = SHAPES, pairs: int = 7) -> Iterator[Row]:
    """Measure on predictions of these shapes."""
    for shape in shapes:
        prob, size = prediction(shape), "x".join(map(str, shape))
        ours = forward_and_backward(affinity_space, prob)
        out = affinity_space(prob)
        for name, other in (
            ("the formula per pair", forward_and_backward(per_pair, prob)),
            (
                "the released measure",
                forward_and_backward(lambda prob: affinity_space(prob, measure="released"), prob),
            ),
            ("a copy of its output", out.clone),
        ):
            yield compare(f"affinity_space and its gradient, {size}", ours, name, other, pairs)
        yield compare(
            f"the same without a compiler, {size}",
            without_compiler(ours),
            "the formula per pair",
            forward_and_backward(per_pair, prob),
            pairs,
        )
        last = forward_and_backward(affinity_space, prediction(shape, torch.channels_last))
        yield compare(f"the same, channels-last, {size}", last, "contiguous", ours, pairs)
        yield compare(
            f"affinity_map, {size}",
            lambda prob=prob: affinity_map(prob),
            "by F.normalize, neighbour by neighbour",
            lambda prob=prob: by_normalize(prob),
            pairs,
        )
        cleaning = forward_and_backward(affinity_cleaning_loss, prob)
        yield compare(f"cleaning loss and its gradient, {size}", cleaning, "ASA's", ours, pairs)


def growth(shape: Shape = (1, 8, 256, 256), pairs: int = 7) -> Iterator[Row]:
    """Measure how time grows; 2 is linear."""
    batch, classes, height, width = shape
    base = forward_and_backward(affinity_space, prediction(shape))
    for what, larger in (
        ("pixels", (batch, classes, height, 2 * width)),
        ("classes", (batch, 2 * classes, height, width)),
        ("images", (2 * batch, classes, height, width)),
    ):
        twice = forward_and_backward(affinity_space, prediction(larger))
        yield compare(f"affinity_space, twice the {what}", twice, "once", base, pairs)
    four = forward_and_backward(lambda prob: affinity_space(prob, 4), prediction(shape))
    yield compare("affinity_space, 8 neighbours", base, "4 neighbours", four, pairs)
