"""The commands, as a user types them."""

import errno
import json
import subprocess
import sys

import pandas as pd
import pytest
from typer.testing import CliRunner

from cli import failures
from cli.main import app
from fundus_uda import __version__
from fundus_uda.data.synthetic import write_camera
from fundus_uda.errors import InputError, RunError, WriteError


def run(*arguments):
    command = [sys.executable, "-c", "from cli.main import run; run()", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def trained(cameras, tmp_path_factory):
    """A run folder of a two-step source-only training, through the command."""
    out = tmp_path_factory.mktemp("trained") / "run"
    data = [f"data.source=folder:{cameras / 'a'}", f"data.test=folder:{cameras / 'b'}"]
    small = ["data.size=64", "batch_size=2", "steps=2", "snapshot_every=2"]
    small += ["data.source_sizes=as_they_are"]
    result = run("train", "cpu/demo", *data, *small, "--out", out)
    assert result.returncode == 0, result.stderr
    assert "| Source only | last | 0 | 2 |" in result.stdout
    return out


def test_help_lists_the_commands():
    result = run("--help")
    assert result.returncode == 0
    for command in (
        "demo",
        "inspect",
        "translate",
        "train",
        "evaluate",
        "predict",
        "measure",
        "merge",
        "compare",
        "configs",
    ):
        assert command in result.stdout


def test_version():
    assert run("--version").stdout.strip() == __version__


def test_configs_are_listed_by_name():
    assert "cpu/asa" in run("configs").stdout.split()


def test_evaluate_writes_the_report(trained, cameras, tmp_path):
    result = run("evaluate", trained, f"folder:{cameras / 'a'}", "--out", tmp_path / "e")
    assert result.returncode == 0, result.stderr
    summary = json.loads((tmp_path / "e" / "summary.json").read_text())
    assert summary["dice_cup"]["n"] == 8
    assert summary["step"] == 2
    header = (tmp_path / "e" / "dice.csv").read_text().splitlines()[0]
    assert header.startswith("image,dice_cup,dice_disc,dice_mean")


def test_predict_measures_what_it_can_and_ends_with_3(trained, cameras, tmp_path):
    (tmp_path / "broken.png").write_bytes(b"no image")
    result = run(
        "predict", trained, cameras / "b" / "images", tmp_path / "broken.png",
        "--out", tmp_path / "p",
    )  # fmt: skip
    assert result.returncode == 3, result.stderr
    assert "broken: Expected a readable image. Got: a damaged or unknown one." in result.stderr
    rows = pd.read_csv(tmp_path / "p" / "measurements.csv")
    assert len(rows) == 7
    measured = rows[rows["status"].isin(["ok", "flagged"])]
    assert f"measurements of {len(measured)} photographs" in result.stdout
    assert f"{7 - len(measured)} could not be measured" in result.stderr
    written = {path.stem for path in (tmp_path / "p" / "masks").glob("*.png")}
    assert written == set(measured["image"])


def test_compare_prints_and_writes(trained, tmp_path):
    result = run("compare", trained, "--out", tmp_path / "t.md")
    assert result.returncode == 0, result.stderr
    assert (tmp_path / "t.md").read_text() in result.stdout


def test_resume_of_a_finished_run_changes_nothing(trained, cameras):
    before = (trained / "metrics.csv").read_text()
    data = [f"data.source=folder:{cameras / 'a'}", f"data.test=folder:{cameras / 'b'}"]
    small = ["data.size=64", "batch_size=2", "steps=2", "snapshot_every=2"]
    small += ["data.source_sizes=as_they_are"]
    result = run("train", "cpu/demo", *data, *small, "--out", trained, "--resume")
    assert result.returncode == 0, result.stderr
    assert (trained / "metrics.csv").read_text() == before


def test_inspect_lists_all_problems_and_ends_with_2(tmp_path):
    write_camera(tmp_path, "a", count=3, size=64, first_seed=0)
    assert run("inspect", f"folder:{tmp_path}").returncode == 0
    (tmp_path / "images" / "a0000.png").write_bytes(b"junk")
    (tmp_path / "masks" / "a0001.png").unlink()
    result = run("inspect", f"folder:{tmp_path}")
    assert result.returncode == 2
    assert "3 photographs, 1 with a readable mask" in result.stdout
    assert "2 problem(s)" in result.stderr
    assert "a0000.png" in result.stderr
    assert "a0001.png" in result.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["train", "none", "--out", "x"], "settings file or a shipped experiment. Got: 'cpu/none'"),
        (["train", "cpu/demo", "sead=1", "--out", "x"], "Did you mean seed?"),
        (
            ["inspect", "refuge:/nowhere"],
            "Expected refuge data at /nowhere, a folder. Got: nothing",
        ),
        (["inspect", "nowhere"], "Expected KIND:PATH"),
        (["evaluate", "/nowhere", "folder:/nowhere"], "Expected a checkpoint at /nowhere"),
        (["predict", "/nowhere", "/nowhere"], "Expected a checkpoint at /nowhere"),
        (["compare", "/nowhere"], "Expected a summary of an evaluation"),
        (["demo", "--out", f"{__file__}/x"], "Not a directory"),
        (["demo", "--out", "."], "Expected a new or empty output folder"),
        (["reproduce", "table7", "--device", "tpu", "--out", "x"], "Expected the device auto"),
        (["adapt", "--target", "/nowhere", "--out", "x"], "/nowhere"),
        (
            ["adapt", "--target", "/nowhere", "--source", "folder:/nowhere", "--out", "x"],
            "Expected folder data at /nowhere",
        ),
        (
            ["reproduce", "table7", "data.sice=32", "--out", "x"]
            + [f"data.{domain}=folder:x" for domain in ("source", "target", "test")],
            "Did you mean data.size?",
        ),
    ],
)
def test_a_users_mistake_ends_with_2_and_no_traceback(arguments, message):
    result = run(*arguments)
    assert result.returncode == 2
    assert message in result.stderr
    assert "Traceback" not in result.stderr


def test_unknown_commands_end_with_2():
    assert CliRunner().invoke(app, ["nope"]).exit_code == 2


@pytest.mark.parametrize(
    ("error", "code", "printed"),
    [
        (InputError("wrong"), 2, "Error: wrong"),
        (RunError("diverged"), 1, "Failed: diverged"),
        (WriteError("no room"), 1, "Failed: no room"),
        (OSError(errno.ENOSPC, "No space left"), 1, "Failed: No space left. Make room, then go on"),
    ],
)
def test_exit_codes(error, code, printed, capsys):
    def app():
        raise error

    with pytest.raises(SystemExit) as ended:
        failures.run_app(app)
    assert ended.value.code == code
    assert printed in capsys.readouterr().err


def test_a_fault_of_the_program_keeps_its_traceback():
    def app():
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        failures.run_app(app)
