"""Folders in the making: their lock, their mark, and rows that a stop keeps."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from fundus_uda.errors import InputError, WriteError
from fundus_uda.unfinished import Unfinished, locked


def in_another_process(code: str) -> "subprocess.CompletedProcess[str]":
    code = f"from pathlib import Path\nfrom fundus_uda.unfinished import *\n{code}"
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)


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
    work = Unfinished(tmp_path)
    work.require_room()
    with work.begun("a") as rows:
        assert rows == []
        (tmp_path / "table.csv").touch()
    assert [path.name for path in tmp_path.iterdir()] == ["table.csv"]


def test_rows_are_written_by_one_process_at_a_time(tmp_path):
    with Unfinished(tmp_path).begun("a"):
        second = in_another_process(
            f"with Unfinished(Path({str(tmp_path)!r})).begun('a'):\n    pass"
        )
    assert "InputError: Expected that no other process writes" in second.stderr


def test_rows_of_other_work_are_refused_and_a_row_that_was_cut_off_is_done_anew(tmp_path):
    work = Unfinished(tmp_path)

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
    rows = Unfinished(tmp_path)
    rows.file.symlink_to("/dev/full")
    with pytest.raises(WriteError, match="unfinished.jsonl"):
        rows.add({"image": "a"})
