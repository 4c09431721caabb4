"""Files that must be new, and are written whole or not at all."""

import errno
from pathlib import Path

import pandas as pd
import pytest
from PIL import Image

from fundus_uda.errors import InputError, WriteError
from fundus_uda.files import (
    is_full,
    needing_room,
    read_json,
    replacing,
    require_new,
    temporary_of,
    write_picture,
    write_table,
    write_whole,
)

FULL = Path("/dev/full")
"""A disk on which nothing finds room."""
needs_a_full_disk = pytest.mark.skipif(not FULL.exists(), reason="no /dev/full")


def test_a_file_is_replaced_on_request_alone(tmp_path):
    file = tmp_path / "table.csv"
    require_new(file, overwrite=False)
    file.write_text("mine")
    with pytest.raises(InputError, match="table.csv, which exists. .* add --overwrite"):
        require_new(file, overwrite=False)
    require_new(file, overwrite=True)
    with pytest.raises(InputError, match="Choose another --out"):
        require_new(tmp_path, overwrite=True)


@needs_a_full_disk
def test_what_finds_no_room_leaves_what_was_there_and_says_so(tmp_path):
    file = tmp_path / "table.csv"
    write_whole(file, "before")
    temporary_of(file).symlink_to(FULL)
    message = f"Expected room to write {file}. Got: No space left .* Make room, then go on"
    with pytest.raises(WriteError, match=message):
        write_whole(file, "after")
    assert file.read_text() == "before"


def test_other_failures_to_write_are_left_as_they_are(tmp_path):
    with pytest.raises(FileNotFoundError), needing_room(tmp_path):
        (tmp_path / "none" / "x").write_text("")
    assert [is_full(OSError(n, "")) for n in (errno.ENOSPC, errno.EDQUOT, errno.EACCES)] == [
        True, True, False
    ]  # fmt: skip


def test_text_and_tables_have_the_same_bytes_on_every_system(tmp_path, monkeypatch):
    monkeypatch.setattr("os.linesep", "\r\n")
    write_whole(tmp_path / "a.txt", "one\ntwö\n")
    assert (tmp_path / "a.txt").read_bytes() == "one\ntwö\n".encode()
    write_table(tmp_path / "a.csv", pd.DataFrame({"image": ["a,b", "c"], "x": [0.5, None]}))
    assert (tmp_path / "a.csv").read_bytes() == b'image,x\n"a,b",0.5\nc,\n'
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.csv", "a.txt"]


@pytest.mark.parametrize("text", ["", '{"a": 1', "[1]", "[" * 100_000, '"a"'])
def test_json_that_was_cut_off_is_named(text, tmp_path):
    (tmp_path / "a.json").write_text(text)
    with pytest.raises(InputError, match="Expected a JSON object in .*a.json. Got: .* Write it an"):
        read_json(tmp_path / "a.json")
    (tmp_path / "a.json").write_text('{"a": 1}')
    assert read_json(tmp_path / "a.json") == {"a": 1}


def test_a_file_of_a_kind_is_written_whole_or_not_at_all(tmp_path):
    picture, file = Image.new("L", (4, 4)), tmp_path / "a.png"

    def cut_off(path):
        path.write_bytes(b"half of it")
        raise OSError(errno.EIO, "Input/output error")

    with pytest.raises(OSError, match="Input"), replacing(file) as temporary:
        cut_off(temporary)
    assert not list(tmp_path.iterdir())
    write_picture(file, picture)
    assert Image.open(file).size == (4, 4)
    assert [path.name for path in tmp_path.iterdir()] == ["a.png"]


def test_no_cell_of_a_table_is_a_formula(tmp_path):
    cells = ["=1+1", "+1", "-1", "@SUM(A1)", "\ta", "a=1", "", None]
    write_table(tmp_path / "a.csv", pd.DataFrame({"image": cells, "x": [-1.5] * 8}))
    written = pd.read_csv(tmp_path / "a.csv", keep_default_na=False)
    assert written["image"].tolist() == [*(f"'{cell}" for cell in cells[:5]), "a=1", "", ""]
    assert written["x"].tolist() == [-1.5] * 8
