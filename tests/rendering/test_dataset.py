import numpy as np
import pytest
from PIL import Image

from fundus_uda.data.datasets import load_samples
from fundus_uda.data.mask_files import read_mask
from fundus_uda.data.photograph_files import read_photograph
from fundus_uda.errors import InputError
from fundus_uda.paths import CACHE
from fundus_uda.rendering import dataset
from fundus_uda.rendering.dataset import cached_photographs, write_rendered
from fundus_uda.rendering.scene import Scene, render

SMALL = Scene(size=64)


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv(CACHE, str(tmp_path / "cache"))
    return tmp_path / "cache"


def test_what_is_written_is_read_back_as_a_folder(tmp_path):
    write_rendered(SMALL, 5, 3, tmp_path / "out")
    samples = load_samples(f"folder:{tmp_path / 'out'}")
    assert [sample.id for sample in samples] == ["000000", "000001", "000002"]
    rendered = render(SMALL, 5, 1)
    photograph = read_photograph(samples[1].image).permute(1, 2, 0).numpy()
    assert np.array_equal(photograph, rendered.photograph)
    assert np.array_equal(read_mask(samples[1])[0], rendered.mask)


def test_the_data_uri_renders_once_and_keeps(cache):
    samples = load_samples("rendered:2@64")
    assert len(samples) == 2
    times = [sample.image.stat().st_mtime_ns for sample in samples]
    samples[1].image.unlink()
    again = load_samples("rendered:3@64#train")
    assert [sample.image for sample in again[:2]] == [sample.image for sample in samples]
    assert again[0].image.stat().st_mtime_ns == times[0]
    assert np.asarray(Image.open(again[1].image)).shape == (64, 64, 3)
    assert {path.suffix for path in cache.rglob("*") if path.is_file()} == {".jpg", ".png"}


def test_the_test_split_shows_other_eyes():
    train, test = (load_samples(f"rendered:1@64#{split}") for split in ("train", "test"))
    assert train[0].image.read_bytes() != test[0].image.read_bytes()
    assert train[0].image.read_bytes() == load_samples("rendered:1@64")[0].image.read_bytes()


def test_another_version_of_the_renderer_has_another_cache(monkeypatch):
    first = cached_photographs(SMALL, 0, 1)
    monkeypatch.setattr(dataset, "_renderer", lambda: "another")
    assert cached_photographs(SMALL, 0, 1) != first


@pytest.mark.parametrize(
    ("uri", "told"),
    [
        ("rendered:0", "Got: 0"),
        ("rendered:many", "rendered:COUNT"),
        ("rendered:5@small", "rendered:COUNT"),
        ("rendered:" + "9" * 5000, "path"),
        ("rendered:²", "rendered:COUNT"),
        ("rendered:5@32", "64 to 2048"),
        ("rendered:1000000", "100000"),
    ],
)
def test_other_uris_are_refused(uri, told):
    with pytest.raises(InputError, match=told):
        load_samples(uri)


def test_an_occupied_folder_is_refused(tmp_path):
    (tmp_path / "mine.txt").touch()
    with pytest.raises(InputError, match="new or empty"):
        write_rendered(SMALL, 0, 1, tmp_path)


def test_a_cache_that_cannot_be_written_is_told(tmp_path, monkeypatch):
    def refused(*_):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(dataset, "_written", refused)
    with pytest.raises(InputError, match=CACHE):
        cached_photographs(SMALL, 0, 1)
