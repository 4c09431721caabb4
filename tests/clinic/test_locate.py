import time

import numpy as np
import pytest
from PIL import Image
from scipy.ndimage import gaussian_filter

from fundus_uda.clinic import locate
from fundus_uda.clinic.locate import CLEAR, _Candidate, locate_disc
from fundus_uda.data.datasets import load_samples
from fundus_uda.data.mask_files import read_mask
from fundus_uda.data.synthetic import render
from fundus_uda.masks.region import DiscRegion
from tests.disc_search.cameras import CAMERAS
from tests.disc_search.measure import count
from tests.fixtures.fields import retina, whole_field

PLACES = [(190, 400), (230, 160), (110, 290), (200, 280)]


def error(found: DiscRegion, centre, diameter) -> float:
    """In disc diameters."""
    return float(np.hypot(found.centre[0] - centre[0], found.centre[1] - centre[1])) / diameter


@pytest.mark.parametrize("seed", range(6))
def test_a_disc_is_found_anywhere_in_a_field(seed):
    image, centre, diameter = whole_field(seed, PLACES[seed % 4], 55 + 6 * seed)
    found = locate_disc(image)
    assert found is not None
    assert error(found, centre, diameter) < 0.3
    assert 0.6 < found.diameter / diameter < 1.4
    assert not found.is_crop
    height, width = (last - first for first, last in (found.rows, found.columns))
    assert height == width == round(found.diameter / 0.6)


@pytest.mark.parametrize(
    "change",
    [
        lambda image: image[:, ::-1],
        lambda image: image[::-1],
        lambda image: np.rot90(image),
        lambda image: image * 0.4,
        lambda image: np.where(image.max(axis=2, keepdims=True) > 20, image * 0.7 + 50, image),
        lambda image: gaussian_filter(image.astype(float), (2, 2, 0)),
        lambda image: np.asarray(Image.fromarray(image).resize((1680, 1200))),
        lambda image: np.repeat(image[..., 1:2], 3, axis=2),
        lambda image: image * [0.5, 1.05, 0.9],
        lambda image: np.pad(image, ((450, 350), (500, 620), (0, 0))),
    ],
    ids=[
        "mirrored",
        "flipped",
        "turned",
        "dim",
        "hazy",
        "blurred",
        "large",
        "red-free",
        "tinted",
        "small in the frame",
    ],
)
def test_other_photographs_of_the_eye(change):
    image, centre, diameter = whole_field(2, (190, 400), 66)
    marked = np.zeros_like(image)
    marked[189:192, 399:402] = 255
    changed, marked = (np.ascontiguousarray(change(i)).astype(np.uint8) for i in (image, marked))
    brightest = marked.max(axis=2) >= 0.9 * marked.max()
    centre = tuple(float(index.mean()) for index in np.nonzero(brightest))
    found = locate_disc(changed)
    assert found is not None
    scale = np.sqrt((marked.max(axis=2) >= 0.5 * marked.max()).sum() / 9)
    assert error(found, centre, diameter * scale) < 0.3


def test_reflections_of_a_lamp_are_no_disc():
    image, centre, diameter = whole_field(2, (190, 400), 66)
    y, x = np.mgrid[:400, :560]
    shining = image.astype(np.float64)
    for row, column, radius in ((120, 200, 14), (250, 260, 20), (300, 330, 9)):
        light = np.exp(-((y - row) ** 2 + (x - column) ** 2) / (2 * radius**2))[..., None]
        shining = shining * (1 - light) + 255 * light
    found = locate_disc(shining.astype(np.uint8))
    assert found is not None
    assert error(found, centre, diameter) < 0.3


def test_the_small_disc_of_a_wide_field_is_found():
    image, centre, diameter = whole_field(2, (190, 330), 30)  # a sixteenth of the field
    found = locate_disc(image)
    assert found is not None
    assert error(found, centre, diameter) < 0.3
    assert 0.6 < found.diameter / diameter < 1.8


@pytest.mark.parametrize(
    ("score", "row", "taken"),
    [(1.4 + CLEAR - 0.1, 180, False), (1.4 + CLEAR, 180, True), (9.0, 10, False)],
    ids=["no clearer", "clearer", "at the edge of the field"],
)
def test_a_smaller_disc_than_the_usual_must_be_clearer_and_within_the_field(
    score, row, taken, monkeypatch
):
    usual, small = _Candidate(1.4, (200.0, 350.0), 70.0), _Candidate(score, (row, 200.0), 30.0)
    monkeypatch.setattr(locate, "_of_sizes", lambda *given: [small if given[3] < 50 else usual])
    found = locate_disc(retina(0, (366, 512)))
    assert found.diameter == (small if taken else usual).diameter


def test_no_disc_of_a_few_pixels_is_enlarged_to_be_found(monkeypatch):
    sought = []
    monkeypatch.setattr(locate, "_of_sizes", lambda *given: sought.append(given[2:]) or [])
    locate_disc(retina(0, (160, 224)))
    assert min(diameter for diameter, _ in sought) == locate.LEAST_PIXELS


@pytest.mark.parametrize("seed", range(4))
def test_a_retina_without_a_disc(seed):
    assert locate_disc(retina(seed)) is None


def _warm(values):
    """A brightness (H, W) in [0, 1] in the colours of a retina."""
    return (values[..., None] * np.array([220, 130, 60])).astype(np.uint8)


def test_pictures_that_are_no_photographs_of_an_eye():
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:300, :400]
    street = np.full((300, 400, 3), 120, dtype=np.uint8)
    street[:120], street[200:, 100:300] = (170, 190, 220), (90, 90, 95)
    street[80:280:20, 30:60] = (60, 50, 40)
    circle = np.full((300, 400), 0.5)
    circle[np.hypot(y - 140, x - 210) < 40] = 1
    pictures = {
        "noise": rng.integers(0, 255, (300, 400, 3)).astype(np.uint8),
        "warm noise": _warm(rng.uniform(size=(300, 400))),
        "gradient": _warm(x / 400),
        "plain": np.full((300, 400, 3), (180, 90, 40), dtype=np.uint8),
        "black": np.zeros((300, 400, 3), dtype=np.uint8),
        "white": np.full((300, 400, 3), 255, dtype=np.uint8),
        "street": street,
        "circle without vessels": _warm(circle),
        "grainy circle": _warm((circle + rng.normal(0, 0.02, circle.shape)).clip(0, 1)),
        "one pixel": np.full((1, 1, 3), 128, dtype=np.uint8),
        "line": _warm(rng.uniform(size=(1, 500))),
    }
    found = [name for name, picture in pictures.items() if locate_disc(picture) is not None]
    assert found == []


@pytest.mark.parametrize("camera", ["a", "b"])
def test_a_crop_around_the_disc_is_returned_whole(camera):
    for seed in range(4):
        image, _ = render(camera, seed, 200)
        found = locate_disc(image)
        assert found is not None
        assert found.is_crop
        assert (found.rows, found.columns) == ((0, 200), (0, 200))
        assert np.array_equal(found.crop(image), image)


@pytest.mark.parametrize("seed", [0, 1, 3])
def test_a_centred_disc_does_not_make_a_crop_of_a_wide_photograph(seed):
    image, _, diameter = whole_field(seed, (200, 280), 40)
    wide = image[80:320, 160:400]  # six diameters, within the field
    found = locate_disc(wide)
    assert found is not None
    assert not found.is_crop
    assert error(found, (120, 120), diameter) < 0.3
    assert found.rows[1] - found.rows[0] == pytest.approx(diameter / 0.6, rel=0.4)


def test_a_segmenter_that_sees_a_disc_leaves_the_region_as_it_is():
    image, _, _ = whole_field(1)
    seen = []

    def corner(crop):
        seen.append(crop.shape)
        mask = np.zeros(crop.shape[:2], dtype=np.uint8)
        mask[:4, :4] = 1
        return mask

    assert locate_disc(image, corner) == locate_disc(image)
    assert len(seen) == 1


def test_a_segmenter_that_sees_no_disc_leaves_none_found():
    image, _, _ = whole_field(1)
    assert locate_disc(image) is not None
    assert locate_disc(image, lambda crop: np.zeros(crop.shape[:2], dtype=np.uint8)) is None


def faint_crop():
    """A crop so blurred that it shows too little of a disc, and its mask."""
    image, mask = render("a", 3, 256)
    return gaussian_filter(image.astype(float), (12, 12, 0)).astype(np.uint8), mask


def test_a_faint_crop_is_returned_whole_if_the_segmenter_sees_its_disc():
    image, mask = faint_crop()
    assert locate_disc(image) is None
    found = locate_disc(image, lambda _: mask)
    assert found is not None
    assert found.is_crop
    rows, columns = np.nonzero(mask)
    assert error(found, (rows.mean(), columns.mean()), found.diameter) < 0.05


@pytest.mark.parametrize(
    "change",
    [
        lambda mask: np.zeros_like(mask),
        lambda mask: np.minimum(mask, 1),  # no cup
        lambda mask: np.roll(mask, 100, axis=1),  # elsewhere
        lambda mask: mask * (np.indices(mask.shape).sum(axis=0) % 40 < 20),  # in stripes
        lambda mask: np.pad(mask[::5, ::5], 102)[:256, :256],  # tiny
    ],
)
def test_a_faint_crop_is_none_if_the_segmenter_sees_something_else(change):
    image, mask = faint_crop()
    assert locate_disc(image, lambda _: change(mask).astype(np.uint8)) is None


def test_what_is_no_retina_stays_none_whatever_the_segmenter_sees():
    y, x = np.mgrid[:300, :300]
    distance = np.hypot(y - 150, x - 150)
    mask = np.where(distance < 40, 2, np.where(distance < 80, 1, 0)).astype(np.uint8)
    circle = _warm(np.where(distance < 80, 1, 0.5))
    clouds = [np.random.default_rng(0).normal(size=(300, 300)) for _ in range(3)]
    cloud = sum(gaussian_filter(c, s) * s for c, s in zip(clouds, (3, 12, 40), strict=True))
    cloudy = _warm((cloud - cloud.min()) / np.ptp(cloud))
    for picture in (circle, cloudy, _warm(x / 300), np.full((300, 300, 3), 120, dtype=np.uint8)):
        assert locate_disc(picture, lambda _: mask) is None


def test_the_share_of_the_disc_sets_the_size_of_the_region():
    image, _, _ = whole_field(1)
    close, wide = (locate_disc(image, disc_share=share) for share in (0.8, 0.4))
    assert close.centre == wide.centre
    assert close.rows[1] - close.rows[0] == pytest.approx(close.diameter / 0.8, abs=1)
    assert wide.rows[1] - wide.rows[0] == pytest.approx(wide.diameter / 0.4, abs=1)


def test_the_disc_of_whole_photographs(real_data):
    errors, seconds = [], []
    for path in sorted((real_data / "idrid_disc" / "images").iterdir()):
        image = np.asarray(Image.open(path).convert("RGB"))
        with Image.open(real_data / "idrid_disc" / "masks" / f"{path.stem}.png") as file:
            rows, columns = np.nonzero(np.asarray(file.convert("L")))
        start = time.process_time()
        found = locate_disc(image)
        seconds.append(time.process_time() - start)
        assert found is not None, path.name
        assert found.rows[0] <= rows.mean() < found.rows[1], path.name
        assert found.columns[0] <= columns.mean() < found.columns[1], path.name
        diameter = 2 * np.sqrt(len(rows) / np.pi)
        errors.append(error(found, (rows.mean(), columns.mean()), diameter))
    assert len(errors) == 20
    assert sum(e < 0.5 for e in errors) >= 19
    assert np.median(errors) < 0.1
    assert np.median(seconds) < 0.7


@pytest.mark.parametrize("number", [1, 5, 6, 7, 8])
def test_real_photographs_five_discs_wide_are_no_crops(real_data, number):
    folder, name = real_data / "idrid_disc", f"IDRiD_{number:02d}"
    (path,) = (folder / "images").glob(f"{name}.*")
    with Image.open(folder / "masks" / f"{name}.png") as file:
        rows, columns = np.nonzero(np.asarray(file.convert("L")))
    diameter = 2 * np.sqrt(len(rows) / np.pi)
    top, left = (max(0, round(index.mean() - 2.5 * diameter)) for index in (rows, columns))
    side = round(5 * diameter)
    with Image.open(path) as file:
        found = locate_disc(np.asarray(file.convert("RGB"))[top : top + side, left : left + side])
    assert found is not None
    assert not found.is_crop
    centre = (rows.mean() - top, columns.mean() - left)
    assert error(found, centre, diameter) < 0.5


@pytest.mark.parametrize("uri", ["refuge:refuge#train", "drishti-gs:drishti_gs#test"])
def test_real_crops_around_the_disc_are_returned_whole(real_data, uri):
    kind, folder = uri.split(":")
    samples = load_samples(f"{kind}:{real_data / folder}")[::8]
    wrong = 0
    for sample in samples:
        image = np.asarray(Image.open(sample.image).convert("RGB"))
        mask, _ = read_mask(sample)
        found = locate_disc(image)
        rows, columns = np.nonzero(mask)
        wrong += (
            found is None
            or not found.is_crop
            or error(found, (rows.mean(), columns.mean()), 2 * np.sqrt(len(rows) / np.pi)) > 0.5
        )
    assert wrong <= 0.1 * len(samples)


def test_real_streets_show_no_disc(real_data):
    streets = sorted(real_data.glob("camvid_*/leftImg8bit/*/*/*.png"))[::10]
    assert streets
    assert not [p.name for p in streets if locate_disc(np.asarray(Image.open(p).convert("RGB")))]


@pytest.mark.slow
def test_the_disc_is_found_in_photographs_of_other_cameras(real_data):
    table = count(real_data / "idrid_disc", list(CAMERAS), every=5)
    found, missed, wrong = table.sum()
    assert found + missed + wrong == 4 * len(CAMERAS)
    assert missed <= (found + missed) / 20
    assert wrong <= 1  # of all 460, 7 (see RESULTS.md); one of them is among these 92


FAINT = [
    ("refuge:refuge#train", "g0006 n0026 n0137 n0143"),
    ("drishti-gs:drishti_gs", " ".join(f"drishtiGS_{n:03d}" for n in (5, 19, 20, 24, 49))),
]


@pytest.mark.parametrize(("uri", "ids"), FAINT)
def test_real_crops_with_little_evidence_are_read_by_the_network(real_data, uri, ids):
    """With the reference in place of a network."""
    kind, folder = uri.split(":")
    samples = [s for s in load_samples(f"{kind}:{real_data / folder}") if s.id in ids.split()]
    assert len(samples) == len(ids.split())
    for sample in samples:
        image = np.asarray(Image.open(sample.image).convert("RGB"))
        mask, _ = read_mask(sample)
        assert locate_disc(image) is None, sample.id
        found = locate_disc(image, lambda _, mask=mask: mask)
        assert found is not None, sample.id
        assert found.is_crop
