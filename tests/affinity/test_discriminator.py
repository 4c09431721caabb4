from itertools import pairwise

import pytest
import torch
from torch import nn

from fundus_uda.affinity import AffinityDiscriminator


def test_layers_are_those_of_section_3d():
    convolutions = [m for m in AffinityDiscriminator(24).modules() if isinstance(m, nn.Conv2d)]
    assert [c.out_channels for c in convolutions] == [64, 128, 256, 512, 1]
    assert {(c.kernel_size, c.stride, c.padding) for c in convolutions} == {
        ((4, 4), (2, 2), (1, 1))
    }
    slopes = [
        m.negative_slope for m in AffinityDiscriminator(24).modules() if isinstance(m, nn.LeakyReLU)
    ]
    assert slopes == [0.2] * 4


def test_parameter_count_by_hand():
    widths = [24, 64, 128, 256, 512, 1]
    expected = sum(i * o * 16 + o for i, o in pairwise(widths))
    assert sum(p.numel() for p in AffinityDiscriminator(24).parameters()) == expected


def test_output_has_a_logit_for_every_32_pixels():
    logits = AffinityDiscriminator(3)(torch.zeros(2, 3, 64, 96))
    assert logits.shape == (2, 1, 2, 3)
    assert AffinityDiscriminator(3)(torch.zeros(1, 3, 32, 32)).shape == (1, 1, 1, 1)


def test_a_map_below_its_stride_is_refused():
    with pytest.raises(ValueError, match="at least 32x32 pixels.*Got: 16x64"):
        AffinityDiscriminator(3)(torch.zeros(1, 3, 16, 64))
