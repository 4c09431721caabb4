import numpy as np
import pytest
from PIL import Image, ImageDraw

from fundus_uda.clinic.pictures import (
    read_affinity,
    write_locator,
    write_pictures,
    write_without_disc,
)
from fundus_uda.errors import InputError
from tests.fixtures.fields import retina
from tests.fixtures.shapes import ellipses


def test_a_photograph_without_a_disc_is_shown_without_what_stands_around_it(tmp_path):
    (tmp_path / "crops").mkdir()
    photograph = retina(1)
    with_text = photograph.copy()
    with_text[5:12, 5:60] = 255  # in the black of the corner
    write_without_disc(tmp_path, "a", with_text)
    shown = np.asarray(Image.open(tmp_path / "crops" / "a.jpg"))
    assert shown.shape[:2] == (274, 384)
    assert shown[:20, :60].max() < 40
    assert shown[137, 192].max() > 60


def page(paper=255, ink=0):
    """A printed page; its lines fill much of it."""
    picture = Image.new("RGB", (500, 500), (paper,) * 3)
    for row in range(4):
        ImageDraw.Draw(picture).text((10, 120 * row), "Mustermann", (ink,) * 3, font_size=90)
    return np.asarray(picture)


@pytest.mark.parametrize(
    "photograph",
    [
        page(),
        page(paper=0, ink=255),
        np.pad(page(), ((40, 40), (90, 90), (0, 0))),
        (page(paper=0, ink=255) * [1, 0.6, 0.3]).astype(np.uint8),
    ],
    ids=["page", "white text on black", "page on black", "warm text on black"],
)
def test_what_shows_no_round_field_is_not_shown(tmp_path, photograph):
    (tmp_path / "crops").mkdir()
    write_without_disc(tmp_path, "a", photograph)
    assert not (tmp_path / "crops" / "a.jpg").exists()


def test_pictures_are_no_larger_than_they_need_be(tmp_path):
    for folder in ("overlays", "crops", "affinity"):
        (tmp_path / folder).mkdir()
    mask = ellipses((300, 200), (150, 100), shape=(800, 1600))
    affinity = np.linspace(0, 1, 100, dtype=np.float32)[None].repeat(50, axis=0)
    write_pictures(tmp_path, "a", np.full((800, 1600, 3), 99, dtype=np.uint8), mask, affinity)
    assert Image.open(tmp_path / "overlays" / "a.jpg").size == (768, 384)
    assert Image.open(tmp_path / "crops" / "a.jpg").size == (640, 320)
    written = read_affinity(tmp_path / "affinity" / "a.png")
    assert written == pytest.approx(affinity, abs=1e-5)  # no coarser than it was


def test_an_affinity_map_of_8_bits_is_refused(tmp_path):
    Image.new("L", (8, 8)).save(tmp_path / "a.png")
    with pytest.raises(InputError, match=r"16 bits at .*a.png. Got: mode L. Predict anew"):
        read_affinity(tmp_path / "a.png")


def test_the_whole_photograph_is_very_small_and_without_what_stands_around_it(tmp_path):
    (tmp_path / "locator").mkdir()
    with_text = retina(1)
    with_text[5:12, 5:60] = 255
    write_locator(tmp_path, "a", with_text)
    shown = np.asarray(Image.open(tmp_path / "locator" / "a.jpg"))
    assert shown.shape[:2] == (91, 128)
    assert shown[:6, :20].max() < 40
    write_locator(tmp_path, "page", page())
    assert not (tmp_path / "locator" / "page.jpg").exists()
