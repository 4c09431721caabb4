import pytest
import torch

from fundus_uda.affinity import neighbor_offsets
from fundus_uda.affinity.neighbors import at_neighbor, half_of, pad_edges


def test_offsets_are_in_row_major_order():
    assert neighbor_offsets(4) == ((-1, 0), (0, -1), (0, 1), (1, 0))
    assert neighbor_offsets(8) == (
        (-1, -1), (-1, 0), (-1, 1), (0, -1), (0, 1), (1, -1), (1, 0), (1, 1),
    )  # fmt: skip


def test_half_holds_one_of_each_opposite_pair():
    for neighbors in (4, 8):
        half = half_of(neighbor_offsets(neighbors))
        opposite = tuple((-dy, -dx) for dy, dx in half)
        assert sorted(half + opposite) == list(neighbor_offsets(neighbors))


def test_a_neighbour_outside_is_a_copy_of_the_edge():
    image = torch.arange(6.0).reshape(1, 1, 2, 3)  # 0 1 2 / 3 4 5
    padded = pad_edges(image)
    assert at_neighbor(padded, (0, 1))[0, 0].tolist() == [[1, 2, 2], [4, 5, 5]]
    assert at_neighbor(padded, (-1, -1))[0, 0].tolist() == [[0, 0, 1], [0, 0, 1]]


def test_other_connectivities_are_refused():
    with pytest.raises(ValueError, match="to be 4 or 8. Got: 5"):
        neighbor_offsets(5)
