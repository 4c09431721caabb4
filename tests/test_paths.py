import os
from pathlib import Path

import pytest

from fundus_uda.affinity import fused
from fundus_uda.errors import InputError
from fundus_uda.paths import CACHE, cache_folder, is_file, user_path


@pytest.mark.parametrize("text", ["~nobody-of-that-name/x", "a\0b", "x" * 300, "\ud800"])
def test_what_can_be_no_path_is_refused(text):
    with pytest.raises(InputError, match="Expected a path. Got: "):
        user_path(text)


def test_the_home_folder_and_what_is_not_there_are_paths(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    assert user_path("~/x") == tmp_path / "x"
    assert user_path(tmp_path / "none" / "x") == tmp_path / "none" / "x"
    (tmp_path / "file").touch()
    assert user_path(tmp_path / "file" / "x") == tmp_path / "file" / "x"
    assert user_path(os.fsdecode(b"\xff")) == Path(os.fsdecode(b"\xff"))  # of a file system


def test_there_is_no_file_of_a_name_that_is_too_long(tmp_path):
    (tmp_path / "file").touch()
    assert is_file(tmp_path / "file")
    assert not is_file(tmp_path / ("x" * 300))
    assert not is_file(tmp_path / "a\0b")


@pytest.mark.parametrize(
    ("named", "caches", "expected"),
    [
        ("~/mine", "/caches", "~/mine"),
        ("", "/caches", "/caches/fundus-uda"),
        (None, None, "~/.cache/fundus-uda"),
    ],
)
def test_there_is_one_cache_for_the_affinity_space_too(named, caches, expected, monkeypatch):
    for variable, value in ((CACHE, named), ("XDG_CACHE_HOME", caches)):
        if value is None:
            monkeypatch.delenv(variable, raising=False)
        else:
            monkeypatch.setenv(variable, value)
    assert cache_folder() == fused._cache() == Path(expected).expanduser()
