from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch

from fundus_uda.engine.batches import SampleKey
from fundus_uda.errors import InputError
from fundus_uda.translation.crops import RandomCrops, at_working_size
from fundus_uda.translation.images import scaled_to_width
from tests.fixtures.tiny_translation import domain


@pytest.mark.parametrize("in_memory", [True, False])
def test_a_crop_is_a_square_of_the_image_in_minus_1_to_1(in_memory):
    images = domain("s", 2, in_memory=in_memory)
    crop = RandomCrops(images, 32)[SampleKey(1, 5)]["image"]
    assert crop.shape == (3, 32, 32)
    pixels = ((crop + 1) * 127.5).round().to(torch.uint8).permute(1, 2, 0).numpy()
    windows = np.lib.stride_tricks.sliding_window_view(images.read(1), (32, 32, 3))[:, :, 0]
    found = [(windows == square).all(axis=(2, 3, 4)).any() for square in (pixels, pixels[:, ::-1])]
    assert sum(found) == 1


def test_a_crop_is_a_function_of_its_key():
    crops = RandomCrops(domain("s", 2), 32)
    first = crops[SampleKey(0, 5)]["image"]
    assert torch.equal(crops[SampleKey(0, 5)]["image"], first)
    assert not torch.equal(crops[SampleKey(0, 6)]["image"], first)


def test_images_smaller_than_the_crop_are_named():
    with pytest.raises(InputError, match=r"at least 48 pixels.*Got: 48x40 for s0. Lower crop"):
        RandomCrops(domain("s", 1), 48)


@pytest.mark.parametrize(("size", "scaled"), [((100, 200), (32, 64)), ((1052, 1914), (35, 64))])
def test_images_are_scaled_to_a_width_at_their_own_aspect(size, scaled):
    image = np.full((*size, 3), 80, np.uint8)
    to_width = replace(domain("s", 1), working_size=partial(scaled_to_width, 64))
    pixels = at_working_size(image, to_width)
    assert pixels.shape == (3, *scaled)
    assert (pixels == 80).all()
