import json
import platform
from pathlib import Path

import pytest
import torch
import yaml

from fundus_uda.affinity import fused
from fundus_uda.engine import run_folder
from fundus_uda.engine.run_folder import LIBRARIES, RunFolder
from fundus_uda.errors import InputError, WriteError
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
    assert (environment["device"], environment["processes"]) == ("cpu", 1)
    assert environment["affinity"] == fused.which()
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


@pytest.mark.parametrize(
    "left", [(), ("weights.txt",), (".tmp.last.pt",), (".lock", ".tmp.last.pt")]
)
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


def test_settings_are_read_in_the_order_in_which_they_were_written(tmp_path):
    folder = begun(tmp_path)
    assert list(folder.settings()) == list(settings().model_dump())
    assert folder.settings() == settings().model_dump(mode="json")
    (folder.path / "config.yaml").write_text("")  # cut off
    assert folder.settings() is None
    (folder.path / "config.yaml").unlink()
    assert folder.settings() is None


def test_the_environment_names_versions_and_what_is_not_installed(tmp_path, monkeypatch):
    def version(library):
        if library == "timm":
            raise run_folder.metadata.PackageNotFoundError
        return f"version of {library}"

    monkeypatch.setattr(run_folder.metadata, "version", version)
    text = (begun(tmp_path).path / "environment.json").read_text()
    environment = json.loads(text)
    where = ["device", "threads", "processes", "affinity", "python", "platform"]
    assert list(environment) == [*where, *LIBRARIES]
    assert environment["timm"] == "not installed"
    assert environment["fundus-uda"] == "version of fundus-uda"
    assert environment["python"] == platform.python_version()
    assert environment["platform"] == platform.platform()
    assert text.startswith('{\n  "device"')
    assert text.endswith("}\n")


def test_a_gpu_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: f"GPU {device.index}")
    folder = RunFolder(tmp_path / "run")
    folder.begin(settings(), torch.device("cuda:1"))
    assert json.loads((folder.path / "environment.json").read_text())["device"] == "GPU 1"
    assert not (folder.path / "weights.txt").exists()  # no report, no file


def test_a_run_may_begin_in_a_folder_that_is_new_with_its_parents_or_empty(tmp_path):
    for path in (tmp_path / "new" / "run", tmp_path / "empty"):
        if path.name == "empty":
            path.mkdir()
        RunFolder(path).begin(settings(), torch.device("cpu"))
        assert (path / "config.yaml").is_file()


def test_a_file_in_the_runs_place_is_no_run(tmp_path):
    (tmp_path / "run").write_text("mine")
    folder = RunFolder(tmp_path / "run")
    with pytest.raises(InputError, match="Got: nothing. Start the run without"):
        folder.require_ready(continue_run=True)
    with pytest.raises(InputError, match="new or empty folder for the run"):
        folder.begin(settings(), torch.device("cpu"))
    assert (tmp_path / "run").read_text() == "mine"


def test_scores_are_below_evaluation_and_summaries_in_order(tmp_path):
    folder = RunFolder(tmp_path)
    assert folder.summaries() == []
    for name in ("selected", "last"):
        folder.evaluation(name).mkdir(parents=True)
        (folder.evaluation(name) / "summary.json").touch()
    (tmp_path / "evaluation" / "other").mkdir()
    expected = [tmp_path / "evaluation" / name / "summary.json" for name in ("last", "selected")]
    assert folder.summaries() == expected


def test_checkpoints_have_their_names(tmp_path):
    folder = RunFolder(tmp_path)
    assert (folder.last, folder.selected) == (tmp_path / "last.pt", tmp_path / "selected.pt")


def test_a_row_whose_step_was_cut_off_is_dropped(tmp_path):
    folder = begun(tmp_path)
    (folder.path / "metrics.csv").write_text("step,loss\n1,0.5\n2,0.25\n1")
    folder.rewind(2)
    assert (folder.path / "metrics.csv").read_text() == "step,loss\n1,0.5\n2,0.25\n"
    (folder.path / "metrics.csv").write_text("step,loss\n1,0.5\n,0.25\n")
    folder.rewind(2)
    assert (folder.path / "metrics.csv").read_text() == "step,loss\n1,0.5\n"
    assert not list(folder.path.glob(".tmp*"))


def test_rows_are_written_whatever_the_locale_and_with_one_header(tmp_path):
    folder = RunFolder(tmp_path)
    folder.log("metrics", {"step": 1, "größe": 2})
    folder.log("metrics", {"step": 2, "größe": 3})
    written = (tmp_path / "metrics.csv").read_bytes().decode("utf-8")
    assert written.splitlines() == ["step,größe", "1,2", "2,3"]


def test_a_row_that_finds_no_room_is_told_and_dropped_on_resume(tmp_path):
    if not Path("/dev/full").exists():
        pytest.skip("no /dev/full")
    folder = begun(tmp_path)
    (folder.path / "metrics.csv").symlink_to("/dev/full")
    with pytest.raises(WriteError, match=r"room to write .*metrics.csv. Got: No space left"):
        folder.log("metrics", {"step": 1, "loss": 0.5})
    (folder.path / "metrics.csv").unlink()
    (folder.path / "metrics.csv").write_text("step,loss\n1,0.5\n2,0.")  # as much as found room
    folder.rewind(1)
    assert (folder.path / "metrics.csv").read_bytes() == b"step,loss\n1,0.5\n"


def test_logged_and_rewound_tables_have_the_same_bytes(tmp_path):
    folder = begun(tmp_path)
    for step in (1, 2):
        folder.log("metrics", {"step": step, "größe": "a,b"})
    logged = (folder.path / "metrics.csv").read_bytes()
    assert logged == 'step,größe\n1,"a,b"\n2,"a,b"\n'.encode()
    folder.rewind(2)
    assert (folder.path / "metrics.csv").read_bytes() == logged


def test_another_environment_is_told_on_resume(tmp_path, capsys):
    folder = begun(tmp_path)
    file = folder.path / "environment.json"
    written = json.loads(file.read_text())
    assert written["threads"] == torch.get_num_threads()
    folder.note_other_environment(torch.device("cpu"))
    assert capsys.readouterr().err == ""
    file.write_text(json.dumps(written | {"threads": 64, "platform": "Plan 9"}))
    folder.note_other_environment(torch.device("cpu"))
    told = capsys.readouterr().err
    assert f"threads: {torch.get_num_threads()} here, 64 there" in told
    assert "Plan 9" not in told
    file.unlink()
    folder.note_other_environment(torch.device("cpu"))  # lost, which does not stop a run
    assert capsys.readouterr().err == ""


def test_the_gpu_of_a_mac_is_recorded(tmp_path):
    folder = RunFolder(tmp_path / "run")
    folder.begin(settings(), torch.device("mps"))
    assert json.loads((folder.path / "environment.json").read_text())["device"] == "mps"
