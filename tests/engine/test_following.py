"""What a run is followed by, made of its logs."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image

from fundus_uda.engine import following
from fundus_uda.engine.following import curves_of, follow, require_installed, write_panel
from fundus_uda.engine.run_folder import RunFolder
from fundus_uda.errors import InputError


@pytest.fixture
def folder(tmp_path):
    """A run folder with logs of three steps."""
    run = RunFolder(tmp_path / "run")
    run.path.mkdir()
    (run.path / "config.yaml").write_text(yaml.safe_dump({"steps": 3, "data": {"size": 64}}))
    for step in (1, 2, 3):
        run.log("metrics", {"step": step, "segmentation": 1 / step, "adversarial": 0.7})
    run.log("snapshots", {"step": 3, "mean_affinity": 0.98, "collapsed": "False"})
    row = {"step": 3, "disc_share": 0.4, "vertical_cdr": float("nan"), "left_as_it_is": ""}
    run.log("label_match", row)
    return run


def test_curves_are_the_finite_numbers_of_the_logs(folder):
    curves = curves_of(folder.path)
    assert curves["metrics/segmentation"] == [(1, 1.0), (2, 0.5), (3, pytest.approx(1 / 3))]
    assert set(curves) == {
        "metrics/segmentation", "metrics/adversarial", "snapshots/mean_affinity",
        "label_match/disc_share",
    }  # fmt: skip


def test_progress_is_one_picture_that_grows_anew(folder):
    follow(folder, ["progress"])
    with Image.open(folder.path / "progress.png") as picture:
        assert picture.size == (800, 780)  # three panels
    (folder.path / "label_match.csv").unlink()
    follow(folder, ["progress"])
    with Image.open(folder.path / "progress.png") as picture:
        assert picture.size == (800, 520)


def test_nothing_is_written_by_default(folder):
    before = sorted(folder.path.iterdir())
    follow(folder, [])
    assert sorted(folder.path.iterdir()) == before


def test_tensorboard_reads_the_curves_once(folder):
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    write_panel(folder, 3, np.zeros((4, 8, 3), np.uint8))
    follow(folder, ["tensorboard"])
    follow(folder, ["panels", "tensorboard"])
    events = EventAccumulator(str(folder.path / "tensorboard")).Reload()
    values = [(event.step, event.value) for event in events.Scalars("metrics/segmentation")]
    assert values == [(1, 1.0), (2, 0.5), (3, pytest.approx(1 / 3))]
    (picture,) = events.Images("panels")
    assert (picture.step, picture.width, picture.height) == (3, 8, 4)


def test_mlflow_keeps_one_run_with_curves_and_settings(folder, tmp_path):
    pytest.importorskip("mlflow")
    from mlflow.tracking import MlflowClient

    follow(folder, ["mlflow"])
    follow(folder, ["mlflow"])  # and then MLflow takes its store of files without a word
    client = MlflowClient(tracking_uri=(tmp_path / "mlruns").as_uri())
    experiment = client.get_experiment_by_name("fundus-uda")
    (run,) = client.search_runs([experiment.experiment_id])
    assert run.info.run_name == "run"
    assert run.data.params == {"steps": "3", "data.size": "64"}
    history = client.get_metric_history(run.info.run_id, "metrics/segmentation")
    assert [(point.step, point.value) for point in history][1] == (2, 0.5)
    moved = tmp_path / "elsewhere" / "run"  # without its store
    shutil.copytree(folder.path, moved)
    follow(RunFolder(moved), ["mlflow"])
    assert json.loads((moved / "mlflow.json").read_text())["run"] != run.info.run_id


def test_a_missing_package_is_told_before_anything_is_read(monkeypatch):
    monkeypatch.setattr(following.importlib.util, "find_spec", lambda _: None)
    require_installed(["progress"])
    with pytest.raises(InputError, match="package mlflow, for follow=mlflow.*fundus-uda.follow"):
        require_installed(["mlflow"])


def test_a_panel_is_written_whole_or_not_at_all(tmp_path, monkeypatch):
    def cut_off(picture, file, *_, **__):
        Path(file).write_bytes(b"\x89PNG")
        raise KeyboardInterrupt

    monkeypatch.setattr("PIL.Image.Image.save", cut_off)
    with pytest.raises(KeyboardInterrupt):
        write_panel(RunFolder(tmp_path), 3, np.zeros((4, 8, 3), np.uint8))
    assert not list((tmp_path / "panels").glob("step_*.png"))
