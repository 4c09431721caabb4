"""Photographs as they are read: upright, in RGB, with a mask of their size, or refused."""

import numpy as np
import pytest
import torch
from PIL import Image

from fundus_uda.data.photograph_files import read_photograph, read_sample
from fundus_uda.data.samples import Sample
from fundus_uda.data.transforms import fixed_transforms
from fundus_uda.errors import InputError
from tests.data.test_transforms import save


def test_vertical_stays_vertical(tmp_path):
    """A picture wider than high with a bright row: MONAI's W x H order would make it a column."""
    pixels = np.zeros((20, 40, 3))
    pixels[3] = 255
    image = read_photograph(save(tmp_path / "wide.png", pixels))
    assert image.shape == (3, 20, 40)
    assert image[0, 3].min() == 255
    assert image[:, [r for r in range(20) if r != 3]].max() == 0


def test_exif_orientation_is_honoured(tmp_path):
    pixels = np.zeros((16, 32, 3), dtype=np.uint8)
    pixels[:, :16] = 255  # bright on the left as stored
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned a quarter clockwise: the left becomes the top
    Image.fromarray(pixels).save(tmp_path / "turned.jpg", exif=exif, quality=95)
    image = read_photograph(tmp_path / "turned.jpg").float()
    assert image.shape == (3, 32, 16)
    assert image[:, :12].mean() > 240
    assert image[:, 20:].mean() < 15


@pytest.mark.parametrize("mode", ["L", "RGBA", "P", "1"])
def test_other_colour_modes_become_rgb(mode, tmp_path):
    Image.new("RGB", (8, 6), (255, 255, 255)).convert(mode).save(tmp_path / "x.png")
    image = read_photograph(tmp_path / "x.png")
    assert image.shape == (3, 6, 8)
    assert image.dtype == torch.uint8
    assert image.min() == 255


@pytest.mark.parametrize("contents", [b"", b"not an image", b"\x89PNG\r\n\x1a\n"])
def test_what_is_no_image_is_named(contents, tmp_path):
    path = tmp_path / "broken.png"
    path.write_bytes(contents)
    with pytest.raises(InputError, match=r"Expected a readable image at .*broken\.png"):
        read_photograph(path)


def test_a_truncated_image_is_named(tmp_path):
    noise = np.random.default_rng(0).integers(0, 255, (64, 64, 3))
    path = save(tmp_path / "whole.png", noise)
    short = tmp_path / "short.png"
    short.write_bytes(path.read_bytes()[:5000])
    with pytest.raises(InputError, match=r"readable image at .*short\.png.*truncated"):
        read_photograph(short)


def test_a_16_bit_grey_image_is_refused_rather_than_white(tmp_path):
    path = tmp_path / "deep.png"
    Image.fromarray(np.full((8, 8), 40_000, dtype=np.uint16)).save(path)
    with pytest.raises(InputError, match=r"deep\.png.*not 8 bits; save it as 8-bit RGB"):
        read_photograph(path)


def test_a_mask_of_another_size_is_named(tmp_path):
    image = save(tmp_path / "i.png", np.zeros((8, 10, 3)))
    mask = save(tmp_path / "m.png", np.zeros((8, 9)))
    with pytest.raises(InputError, match=r"mask of 10x8 for .*i\.png.* Got: 9x8 in .*m\.png"):
        read_sample(Sample("i", image, (mask,), "labels"))


def test_a_strip_is_refused_before_its_short_side_rounds_to_nothing(tmp_path):
    longest = read_sample(Sample("i", save(tmp_path / "i.png", np.zeros((1, 64, 3)))))
    assert fixed_transforms(64)(longest)["image"].shape == (3, 64, 64)
    strip = save(tmp_path / "strip.png", np.zeros((400, 1, 3)))
    with pytest.raises(InputError, match=r"photograph at .*strip\.png, .* Got: 1x400\. Replace"):
        read_sample(Sample("s", strip))
