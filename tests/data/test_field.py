import numpy as np
import pytest
from PIL import Image

from fundus_uda.clinic.locate import locate_disc
from fundus_uda.data.field import box_of_field, field_of_view, on_black, reflections
from fundus_uda.data.photograph_files import read_photograph
from fundus_uda.data.synthetic import render
from tests.fixtures.fields import retina, whole_field


def test_the_field_of_view_leaves_out_the_border_and_not_the_dark_macula():
    image = retina()
    image[180:220, 260:300] = 5
    y, x = np.mgrid[:400, :560]
    expected = np.hypot(y - 200, x - 280) < 0.42 * 560
    assert (field_of_view(image) == expected).mean() > 0.99
    assert field_of_view(image)[200, 280]
    assert field_of_view(np.full((20, 30, 3), 128, dtype=np.uint8)).all()


@pytest.mark.parametrize("colour", [(255, 255, 255), (128, 128, 128), (0, 90, 60)])
@pytest.mark.parametrize("suffix", ["png", "jpg"])
def test_a_border_of_another_colour_is_none_of_the_eye(tmp_path, colour, suffix):
    photograph, centre, diameter = whole_field(2)
    y, x = np.mgrid[:400, :560]
    border = np.hypot(y - 200, x - 280) > 0.42 * 560
    filled = np.where(border[..., None], np.uint8(colour), photograph)
    Image.fromarray(filled).save(tmp_path / f"a.{suffix}")
    read = read_photograph(tmp_path / f"a.{suffix}").permute(1, 2, 0).numpy()
    assert (field_of_view(read) == field_of_view(photograph)).mean() > 0.98
    region = locate_disc(read)
    assert np.hypot(region.centre[0] - centre[0], region.centre[1] - centre[1]) < diameter / 2
    assert not region.is_crop


def test_what_is_transparent_is_border(tmp_path):
    photograph = whole_field(2)[0]
    border = photograph.max(axis=2) < 20
    white = np.where(border[..., None], np.uint8(255), photograph)
    alpha = np.where(border, 0, 255).astype(np.uint8)
    Image.fromarray(np.dstack([white, alpha])).save(tmp_path / "a.png")
    read = read_photograph(tmp_path / "a.png").permute(1, 2, 0).numpy()
    assert np.array_equal(read, np.where(border[..., None], 0, photograph))


def test_a_photograph_without_such_a_border_stays_as_it_is():
    crop = render("a", 1, 200)[0]
    page = np.full((80, 120, 3), 255, np.uint8)
    page[30:34, 20:60] = 0
    retina_alone = np.full((80, 120, 3), (180, 90, 40), np.uint8)
    for picture in (whole_field(2)[0], crop, page, retina_alone):
        assert on_black(picture) is picture


def test_the_field_of_view_is_all_but_black_at_the_edge():
    photograph = np.full((40, 40, 3), 60, np.uint8)
    photograph[:, :10] = 3  # the border
    photograph[:10, 25:, 0] = 14  # dark retina at the edge
    photograph[:10, 25:, 1:] = 0
    photograph[20:25, 25:30] = 0  # a black spot inside
    expected = np.ones((40, 40), bool)
    expected[:, :10] = False
    found = field_of_view(photograph)
    assert np.array_equal(found[2:-2], expected[2:-2])  # the border's corners are rounded
    assert found[:, 10:].all()


def test_a_reflection_is_white_and_a_bright_disc_is_not():
    image = whole_field(2, (190, 400), 66)[0]
    field = field_of_view(image)
    assert image[field].min(axis=1).max() > 190  # a pale disc
    assert not reflections(image, field).any()
    y, x = np.mgrid[:400, :560]
    lamp = np.hypot(y - 150, x - 200) < 12
    found = reflections(np.where(lamp[..., None], np.uint8(250), image), field)
    assert found[lamp].all()
    assert not found[np.hypot(y - 150, x - 200) > 32].any()
    grey = np.repeat(image[..., 1:2], 3, axis=2)
    assert not reflections(np.where(lamp[..., None], np.uint8(250), grey), field).any()


def test_the_box_of_a_field_leaves_out_specks():
    field = np.zeros((60, 80), bool)
    field[20:40, 30:60] = True
    field[5, 70] = field[50, 3] = True
    rows, columns = box_of_field(field)
    assert (rows.start, rows.stop, columns.start, columns.stop) == (20, 40, 30, 60)
