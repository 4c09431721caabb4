"""Outputs that must be new, and progress on stderr."""

import errno
import io
import sys
from pathlib import Path

import pandas as pd
import pytest
from PIL import Image

from fundus_uda import output
from fundus_uda.errors import InputError, WriteError
from fundus_uda.output import (
    Progress,
    in_words,
    is_full,
    needing_room,
    part,
    progress,
    read_json,
    replacing,
    require_new,
    temporary_of,
    write_picture,
    write_table,
    write_whole,
)


@pytest.fixture
def clock(monkeypatch):
    """A clock that a test puts forward."""
    now = [0.0]
    monkeypatch.setattr(output.time, "monotonic", lambda: now[0])
    return now


def run(total, clock, seconds=6.0, first=60.0, done=0):
    with Progress("asa", total, done) as shown:
        for step in range(done + 1, total + 1):
            clock[0] += first if step == done + 1 else seconds
            shown.update(step, "seg 0.5")


def test_without_a_terminal_an_estimate_after_ten_steps_then_a_line_now_and_then(clock, capsys):
    run(300, clock)
    printed = capsys.readouterr()
    assert printed.out == ""
    lines = printed.err.splitlines()
    assert lines[0] == "asa: 10 of 300, about 29 min left  seg 0.5"
    assert lines[1] == "asa: 15 of 300, about 28 min left  seg 0.5"
    assert len(lines) == 21
    assert lines[-1] == "asa: 300 of 300, done  seg 0.5"


def test_the_time_left_of_a_resumed_loop_counts_its_own_steps(clock, capsys):
    run(100, clock, done=80)
    assert capsys.readouterr().err.splitlines()[0] == "asa: 90 of 100, about 60 s left  seg 0.5"


def test_few_steps_say_nothing(clock, capsys):
    run(9, clock)
    assert capsys.readouterr().err == ""


def test_the_estimate_counts_what_follows_a_part(clock, capsys):
    with part("stage 1 of 2", further=600):
        run(300, clock)
    run(300, clock)
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == (
        "stage 1 of 2, asa: 10 of 300, about 29 min left (with all that follows: 89 min)  seg 0.5"
    )
    assert lines[21] == "asa: 10 of 300, about 29 min left  seg 0.5"


def test_quietly_there_is_neither_progress_nor_a_note(clock, monkeypatch, capsys):
    class Terminal(io.StringIO):
        def isatty(self):
            return True

    with output.quietly():
        run(300, clock)
        output.note("Going on.")
        monkeypatch.setattr(sys, "stderr", terminal := Terminal())
        run(300, clock)
        monkeypatch.undo()
    assert capsys.readouterr().err == terminal.getvalue() == ""
    output.note("Going on.")
    assert capsys.readouterr().err == "Going on.\n"


@pytest.mark.parametrize("terminal", [True, False])
def test_verbosely_each_step_is_a_line_and_details_are_told(terminal, clock, monkeypatch, capsys):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: terminal, raising=False)
    output.detail("Computing on cpu.")
    with output.verbosely():
        output.detail("Computing on cpu.")
        run(3, clock)
    assert capsys.readouterr().err.splitlines() == [
        "Computing on cpu.",
        "asa: 1 of 3  seg 0.5",
        "asa: 2 of 3, about 6 s left  seg 0.5",
        "asa: 3 of 3, done  seg 0.5",
    ]


def test_on_a_terminal_the_estimate_stands_above_a_bar_on_stderr(clock, monkeypatch, capsys):
    class Terminal(io.StringIO):
        def isatty(self):
            return True

    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    run(300, clock)
    assert "asa: about 29 min for 290 steps" in terminal.getvalue()
    assert "300/300" in terminal.getvalue()
    assert capsys.readouterr().out == ""


def test_parts_stand_before_the_title(clock, capsys):
    with part("stage 1 of 2"):
        list(progress(range(20), "asa", 20))
    list(progress(range(20), "asa", 20))
    lines = capsys.readouterr().err.splitlines()
    assert lines[0].startswith("stage 1 of 2, asa: 10 of 20")
    assert lines[2].startswith("asa: 10 of 20")


def test_durations_in_words():
    assert [in_words(s) for s in (0.4, 89, 100, 12_000)] == ["0 s", "89 s", "2 min", "3 h 20 min"]


def test_a_file_is_replaced_on_request_alone(tmp_path):
    file = tmp_path / "table.csv"
    require_new(file, overwrite=False)
    file.write_text("mine")
    with pytest.raises(InputError, match="table.csv, which exists. .* add --overwrite"):
        require_new(file, overwrite=False)
    require_new(file, overwrite=True)
    with pytest.raises(InputError, match="Choose another --out"):
        require_new(tmp_path, overwrite=True)


FULL = Path("/dev/full")
"""A disk on which nothing finds room."""
needs_a_full_disk = pytest.mark.skipif(not FULL.exists(), reason="no /dev/full")


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
