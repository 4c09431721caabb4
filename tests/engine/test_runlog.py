import json

import pytest
import torch
import yaml

from fundus_uda.engine.errors import InputError
from fundus_uda.engine.runlog import RunFolder
from tests.engine.tiny import settings


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
    begun(tmp_path)
    with pytest.raises(InputError, match="new or empty output folder.*--resume"):
        begun(tmp_path)


def test_a_resume_without_a_checkpoint_is_an_error(tmp_path):
    with pytest.raises(InputError, match="Expected a checkpoint to resume at .*last.pt. Got: none"):
        begun(tmp_path).require_checkpoint()


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
