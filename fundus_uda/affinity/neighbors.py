"""Neighbours of a pixel: their offsets, views of a map shifted by them, and the border rule.

Border rule: a map is padded by one pixel that repeats its edge (replicate padding), as in
the authors' released code. A neighbour outside the image is therefore a copy of the nearest
pixel inside it: the pixel itself straight across an edge, a pixel one step along the edge
diagonally across it.
"""

from torch import Tensor
from torch.nn import functional as F

Offset = tuple[int, int]
"""(dy, dx): rows down and columns right from a pixel to its neighbour."""

FOUR: tuple[Offset, ...] = ((-1, 0), (0, -1), (0, 1), (1, 0))
DIAGONAL: tuple[Offset, ...] = ((-1, -1), (-1, 1), (1, -1), (1, 1))
EIGHT: tuple[Offset, ...] = tuple(sorted(FOUR + DIAGONAL))


def neighbor_offsets(neighbors: int) -> tuple[Offset, ...]:
    """Return the offsets (dy, dx) of the 4 or 8 neighbours, in row-major order.

    Raises:
        ValueError: `neighbors` is neither 4 nor 8.
    """
    if neighbors not in (4, 8):
        raise ValueError(f"Expected `neighbors` to be 4 or 8. Got: {neighbors}.")
    return FOUR if neighbors == 4 else EIGHT


def half_of(offsets: tuple[Offset, ...]) -> tuple[Offset, ...]:
    """Return one offset of each opposite pair, which is enough for a symmetric measure."""
    return tuple(offset for offset in offsets if offset > (0, 0))


def pad_edges(map_BCHW: Tensor) -> Tensor:
    """Pad (B, C, H, W) to (B, C, H + 2, W + 2) by repeating the edge pixels."""
    return F.pad(map_BCHW, (1, 1, 1, 1), mode="replicate")


def at_neighbor(padded: Tensor, offset: Offset) -> Tensor:
    """Return each pixel's neighbour: a (..., H, W) view of a padded (..., H + 2, W + 2) map."""
    (dy, dx), (height, width) = offset, (padded.shape[-2] - 2, padded.shape[-1] - 2)
    return padded[..., 1 + dy : 1 + dy + height, 1 + dx : 1 + dx + width]
