"""Folders in the making: their lock, their mark, rows that a stop keeps, and what is replaced."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from fundus_uda.errors import InputError, WriteError
from fundus_uda.unfinished import (
    Unfinished,
    locked,
    note_rewritten,
    require_replaceable,
    rewritten,
)


def in_another_process(code: str) -> "subprocess.CompletedProcess[str]":
    code = f"from pathlib import Path\nfrom fundus_uda.unfinished import *\n{code}"
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)


def names(folder):
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*"))


def test_a_second_process_is_kept_out_and_told_which_one_is_in(tmp_path):
    folder = tmp_path / "out"
    with locked(folder):
        second = in_another_process(f"with locked(Path({str(folder)!r})):\n    pass")
    assert "InputError: Expected that no other process writes" in second.stderr
    assert f"process {os.getpid()} on" in second.stderr
    assert not folder.exists()  # nothing was begun, so nothing stays


def test_a_lock_that_a_crash_left_keeps_nobody_out(tmp_path):
    code = f"with locked(Path({str(tmp_path)!r})):\n    os._exit(9)"
    assert in_another_process(code).returncode == 9
    assert (tmp_path / ".lock").exists()
    work = Unfinished(tmp_path, "crop")
    work.require_room()
    with work.begun("a") as rows:
        assert rows == []
        (tmp_path / "table.csv").touch()
    assert names(tmp_path) == [".written", "table.csv"]


def test_rows_are_written_by_one_process_at_a_time(tmp_path):
    with Unfinished(tmp_path, "crop").begun("a"):
        second = in_another_process(
            f"with Unfinished(Path({str(tmp_path)!r}), 'crop').begun('a'):\n    pass"
        )
    assert "InputError: Expected that no other process writes" in second.stderr


def test_rows_of_other_work_are_refused_and_a_row_that_was_cut_off_is_done_anew(tmp_path):
    work = Unfinished(tmp_path, "crop")

    def stopped():
        with work.begun("a"):
            work.add({"image": 1})
            work.file.open("a").write('{"image": ')
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        stopped()
    with pytest.raises(InputError, match="to go on with what was stopped there"), work.begun("b"):
        pass
    with work.begun("a") as rows:
        assert rows == [{"image": 1}]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full")
def test_a_row_that_finds_no_room_is_told(tmp_path):
    rows = Unfinished(tmp_path, "crop")
    rows.file.symlink_to("/dev/full")
    with pytest.raises(WriteError, match="unfinished.jsonl"):
        rows.add({"image": "a"})


def write(folder, *files, by="crop"):
    with rewritten(folder, by):
        for file in files:
            (folder / file).parent.mkdir(parents=True, exist_ok=True)
            (folder / file).write_text(file)


def test_what_a_command_wrote_is_replaced_on_request_alone(tmp_path):
    out = tmp_path / "out"
    write(out, "images/a.png", "crops.csv")
    with pytest.raises(InputError, match="which `crop` wrote before. .* add --overwrite"):
        require_replaceable(out, "crop", overwrite=False)
    require_replaceable(out, "crop", overwrite=True)
    write(out, "b.csv")
    assert names(out) == [".written", "b.csv"]


@pytest.mark.parametrize("file", ["mine.txt", "images/mine.png", "masks/a.png"])
def test_what_was_added_or_corrected_since_is_not_replaced(file, tmp_path):
    write(tmp_path, "images/a.png", "masks/a.png")
    (tmp_path / file).write_text("hours of work")
    with pytest.raises(InputError, match=f"Got: {tmp_path / file}, which was added or changed"):
        require_replaceable(tmp_path, "crop", overwrite=True)


def test_what_another_command_or_nobody_wrote_is_not_replaced(tmp_path):
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "a.png").touch()
    with pytest.raises(InputError, match="which no command says that it wrote"):
        require_replaceable(tmp_path, "crop", overwrite=True)
    out = tmp_path / "out"
    write(out, "images/a.png", by="predict")
    with pytest.raises(InputError, match="which `predict` wrote. Choose another --out"):
        require_replaceable(out, "crop", overwrite=True)


def test_a_list_leads_out_of_its_folder_to_no_file(tmp_path):
    out, victim = tmp_path / "out", tmp_path / "victim"
    victim.touch()
    write(out, "a.png")
    (out / "link").symlink_to(tmp_path)
    listed = json.loads((out / ".written").read_text())
    listed["files"] |= {"../victim": [0, 0], "link/victim": [0, 0]}
    (out / ".written").write_text(json.dumps(listed))
    with pytest.raises(InputError, match="link, which was added"):
        require_replaceable(out, "crop", overwrite=True)
    write(out, "b.png")
    assert victim.exists()


def test_a_file_that_a_command_rewrote_is_none_that_a_user_changed(tmp_path):
    write(tmp_path, "report.html")
    (tmp_path / "report.html").write_text("with reviews")
    (tmp_path / "other.html").touch()
    note_rewritten(tmp_path / "report.html", tmp_path / "other.html")
    with pytest.raises(InputError, match=r"other\.html, which was added"):
        require_replaceable(tmp_path, "crop", overwrite=True)
