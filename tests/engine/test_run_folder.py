import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import yaml

from fundus_uda.engine.run_folder import RunFolder
from fundus_uda.errors import InputError
from tests.fixtures.tiny_engine import settings


def begun(tmp_path) -> RunFolder:
    folder = RunFolder(tmp_path / "run")
    folder.begin(settings(), torch.device("cpu"))
    return folder


def test_a_run_says_what_was_asked_and_where_it_ran(tmp_path):
    folder = begun(tmp_path)
    config = yaml.safe_load((folder.path / "config.yaml").read_text())
    assert config == settings().model_dump(mode="json")
    environment = json.loads((folder.path / "environment.json").read_text())
    assert environment["device"] == "cpu"
    assert environment["torch"].split("+")[0] == torch.__version__.split("+")[0]


def test_a_folder_with_another_run_is_refused(tmp_path):
    folder = begun(tmp_path)
    with pytest.raises(InputError, match="new or empty output folder.*--resume"):
        folder.require_ready(continue_run=False)
    folder.last.touch()
    before = {path.name: path.read_bytes() for path in folder.path.iterdir()}
    with pytest.raises(InputError, match="new or empty folder for the run. Got: .*/run, which"):
        begun(tmp_path)
    assert {path.name: path.read_bytes() for path in folder.path.iterdir()} == before


def test_a_run_may_be_written_to_a_new_and_to_an_empty_folder(tmp_path):
    RunFolder(tmp_path).require_ready(continue_run=False)
    RunFolder(tmp_path / "new").require_ready(continue_run=False)
    assert list(tmp_path.iterdir()) == []  # the question changes nothing


@pytest.mark.parametrize("left", [(), ("weights.txt",), ("last.tmp",), ("weights.txt", "last.tmp")])
def test_a_run_killed_before_its_first_checkpoint_may_begin_again(left, tmp_path):
    folder = begun(tmp_path)
    (folder.path / "environment.json").write_text('{"devi')
    for name in left:
        (folder.path / name).write_text("half")
    folder.require_ready(continue_run=True)
    assert not folder.is_begun
    folder.begin(settings(), torch.device("cpu"), report="3 tensors loaded")
    assert json.loads((folder.path / "environment.json").read_text())["device"] == "cpu"
    assert (folder.path / "weights.txt").read_text() == "3 tensors loaded\n"


def test_a_run_with_a_checkpoint_is_ready_to_go_on(tmp_path):
    folder = begun(tmp_path)
    folder.last.touch()
    (folder.path / "anything").touch()
    folder.require_ready(continue_run=True)
    assert folder.is_begun


@pytest.mark.parametrize(
    ("inside", "found"),
    [(None, "nothing"), (["notes.txt"], "another folder"), (["config.yaml", "x"], "another")],
)
def test_a_resume_without_a_checkpoint_is_an_error(inside, found, tmp_path):
    folder = RunFolder(tmp_path / "run")
    if inside is not None:
        folder.path.mkdir()
    for name in inside or ():
        (folder.path / name).touch()
    message = (
        rf"Expected a checkpoint to resume at .*last.pt. Got: {found}.*\. Start the run without"
    )
    with pytest.raises(InputError, match=message):
        folder.require_ready(continue_run=True)


def test_a_folder_of_something_else_is_never_written_to(tmp_path):
    folder = RunFolder(tmp_path / "run")
    folder.path.mkdir()
    (folder.path / "notes.txt").write_text("mine")
    for refuses in (
        lambda: folder.require_ready(continue_run=False),
        lambda: folder.begin(settings(), torch.device("cpu")),
    ):
        with pytest.raises(InputError, match="/run, which holds something already"):
            refuses()
    assert [path.name for path in folder.path.iterdir()] == ["notes.txt"]


def test_a_run_is_finished_until_it_is_rewound(tmp_path):
    folder = begun(tmp_path)
    assert not folder.is_finished
    folder.finish()
    assert folder.is_finished
    folder.rewind(0)
    assert not folder.is_finished
    folder.rewind(0)  # what is not finished may be rewound too


def test_a_row_that_was_cut_off_is_dropped(tmp_path):
    folder = begun(tmp_path)
    (folder.path / "metrics.csv").write_text("step,loss\n1,0.5\n2")
    (folder.path / "snapshots.csv").write_text("")
    folder.rewind(2)
    assert (folder.path / "metrics.csv").read_text() == "step,loss\n1,0.5\n"
    folder.log("snapshots", {"step": 3, "score": 1})
    assert (folder.path / "snapshots.csv").read_text() == "step,score\n3,1\n"


def test_rows_after_the_checkpoint_are_dropped(tmp_path):
    folder = begun(tmp_path)
    for step in (1, 2, 3):
        folder.log("metrics", {"step": step, "loss": step / 2})
    folder.rewind(2)
    assert (folder.path / "metrics.csv").read_text() == "step,loss\n1,0.5\n2,1.0\n"


def test_what_begin_writes_is_whole_or_not_there(tmp_path, monkeypatch):
    folder = RunFolder(tmp_path / "run")

    def cut_off(self, target):
        raise KeyboardInterrupt

    monkeypatch.setattr(Path, "replace", cut_off)
    with pytest.raises(KeyboardInterrupt):
        folder.begin(settings(), torch.device("cpu"))
    assert not (tmp_path / "run" / "config.yaml").exists()
    folder.require_ready(continue_run=True)  # it can be resumed, from step 0


def test_a_second_process_is_kept_out_and_told_which_one_is_in(tmp_path):
    folder = RunFolder(tmp_path / "run")
    code = f"""
from pathlib import Path
from fundus_uda.engine.run_folder import RunFolder
with RunFolder(Path({str(tmp_path / "run")!r})).locked():
    pass
"""
    with folder.locked():
        second = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert "InputError: Expected that no other process writes" in second.stderr
    assert f"process {os.getpid()} on" in second.stderr
    assert not (tmp_path / "run").exists()  # nothing was begun, so nothing stays


def test_a_lock_that_a_crash_left_keeps_nobody_out(tmp_path):
    code = f"""
import os
from pathlib import Path
from fundus_uda.engine.run_folder import RunFolder
with RunFolder(Path({str(tmp_path / "run")!r})).locked():
    os._exit(9)
"""
    assert subprocess.run([sys.executable, "-c", code]).returncode == 9
    folder = RunFolder(tmp_path / "run")
    folder.require_ready(continue_run=True)
    with folder.locked():
        folder.begin(settings(), torch.device("cpu"))
    assert not (tmp_path / "run" / ".lock").exists()
