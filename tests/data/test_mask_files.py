import numpy as np
import pytest
from PIL import Image

from fundus_uda.data.mask_files import left_half, read_mask
from fundus_uda.data.samples import Sample
from fundus_uda.errors import InputError
from fundus_uda.masks.classes import disc_and_cup_to_classes


def sample(tmp_path, *arrays, encoding, stereo=False) -> Sample:
    paths = []
    for index, array in enumerate(arrays):
        paths.append(tmp_path / f"mask{index}.png")
        Image.fromarray(np.asarray(array, dtype=np.uint8)).save(paths[-1])
    return Sample("x", tmp_path / "x.png", tuple(paths), encoding, stereo)


def test_disc_is_rim_and_cup_together_and_the_cup_is_clipped():
    disc = np.array([[0, 1, 1, 0]], dtype=bool)
    cup = np.array([[1, 0, 1, 1]], dtype=bool)
    classes, clipped = disc_and_cup_to_classes(disc, cup)
    assert classes.tolist() == [[0, 1, 2, 0]]
    assert clipped == 2


def test_refuge_values_with_compression_noise(tmp_path):
    mask, clipped = read_mask(sample(tmp_path, [[255, 240, 128, 140, 0, 12]], encoding="refuge"))
    assert mask.tolist() == [[0, 0, 1, 1, 2, 2]]
    assert clipped == 0


def test_labels_are_read_as_they_are_or_as_refuges(tmp_path):
    assert read_mask(sample(tmp_path, [[0, 1, 2]], encoding="labels"))[0].tolist() == [[0, 1, 2]]
    mask, _ = read_mask(sample(tmp_path, [[255, 128, 0]], encoding="labels"))
    assert mask.tolist() == [[0, 1, 2]]


def test_a_palette_png_is_read_by_its_indices(tmp_path):
    path = tmp_path / "palette.png"
    image = Image.fromarray(np.array([[0, 1, 2]], dtype=np.uint8)).convert("P")
    image.putdata([0, 1, 2])
    image.putpalette([0, 0, 0, 255, 0, 0, 0, 255, 0])
    image.save(path)
    assert read_mask(Sample("x", path, (path,), "labels"))[0].tolist() == [[0, 1, 2]]


def palette_mask(path, indices, colours) -> Sample:
    image = Image.new("P", (len(indices), 1))
    image.putdata(indices)
    image.putpalette([value for grey in colours for value in 3 * (grey,)])
    image.save(path)
    return Sample("x", path, (path,), "labels")


def test_a_palette_of_refuges_greys_is_read_by_its_colours(tmp_path):
    agreeing = palette_mask(tmp_path / "a.png", [0, 1, 2], [255, 128, 0])
    assert read_mask(agreeing)[0].tolist() == [[0, 1, 2]]
    other_indices = palette_mask(tmp_path / "b.png", [3, 1, 0], [255, 0, 9, 127])
    assert read_mask(other_indices)[0].tolist() == [[1, 2, 0]]


def test_a_palette_with_two_meanings_is_refused(tmp_path):
    """By index a rim around a cup, by colour a background around a rim."""
    ambiguous = palette_mask(tmp_path / "a.png", [0, 1, 2], [0, 128, 255])
    with pytest.raises(InputError, match="one meaning of the palette .* Save the mask as a grey"):
        read_mask(ambiguous)


def test_a_mask_is_turned_by_its_exif_orientation(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned a quarter clockwise: the left becomes the top
    path = tmp_path / "turned.png"
    Image.fromarray(np.array([[2, 1, 0]], dtype=np.uint8)).save(path, exif=exif)
    for encoding, classes in (("labels", [[2], [1], [0]]), ("refuge", [[2], [2], [2]])):
        assert read_mask(Sample("x", path, (path,), encoding))[0].tolist() == classes


def test_left_half_of_a_pair_and_nothing_of_a_single_photograph():
    assert left_half(np.zeros((1424, 2144))).shape == (1424, 1072)
    assert left_half(np.zeros((1424, 1072))).shape == (1424, 1072)
    assert left_half(np.zeros((512, 512, 3))).shape == (512, 512, 3)


@pytest.mark.parametrize(
    ("array", "encoding", "message"),
    [
        ([[0, 1]], "soft_majority", "from 0 to 255 .* Got: 0, 1"),
        ([[0, 3]], "labels", "0 background, 1 rim, 2 cup .* Got: 0, 3"),
        ([[0, 255]], "labels", "Got: 0, 255"),
        ([[0, 64, 190]], "refuge", "about 0, 128, 255 .* Got: 0, 64, 190"),
    ],
)
def test_unknown_values_are_listed(array, encoding, message, tmp_path):
    arrays = [array, array] if encoding.startswith("soft") else [array]
    with pytest.raises(InputError, match=message):
        read_mask(sample(tmp_path, *arrays, encoding=encoding))


@pytest.mark.parametrize("grey", [[[0, 1]], [[0, 128]], [[10, 255, 77]]])
def test_a_structure_that_is_not_black_and_white_is_refused(grey, tmp_path):
    with pytest.raises(InputError, match="Expected mask values 0 and 255"):
        read_mask(sample(tmp_path, grey, grey, encoding="disc_cup"))


def test_a_white_palette_colour_counts_and_not_its_index(tmp_path):
    path = tmp_path / "palette.png"
    image = Image.new("P", (2, 1))
    image.putdata([0, 1])
    image.putpalette([0, 0, 0, 255, 255, 255])
    image.save(path)
    assert read_mask(Sample("x", path, (path, path), "disc_cup"))[0].tolist() == [[0, 2]]


def test_disc_and_cup_of_two_sizes(tmp_path):
    with pytest.raises(InputError, match="masks of one size. Got: 2x1 .* and 3x1"):
        read_mask(sample(tmp_path, [[0, 0]], [[0, 0, 0]], encoding="disc_cup"))


def test_an_unreadable_mask(tmp_path):
    path = tmp_path / "broken.png"
    path.write_bytes(b"\x89PNG\r\n")
    with pytest.raises(InputError, match="Expected a mask image at .*broken.png"):
        read_mask(Sample("x", path, (path,), "labels"))
