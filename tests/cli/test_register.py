"""Help on any terminal, completion, Ctrl-C, and outputs that are there already."""

import itertools
import os
import re
import signal
import subprocess
import sys

import pytest
import typer
from typer.testing import CliRunner

from cli.main import COMMANDS, app
from cli.register import register
from cli.roadscene import COMMANDS as ROAD_COMMANDS
from cli.roadscene import app as road_app
from fundus_uda import output
from fundus_uda.config.read import shipped_experiments

BOTH = [(app, name) for name in COMMANDS] + [(road_app, name) for name in ROAD_COMMANDS]


def help_of(application, *command, columns=80):
    env = {"COLUMNS": str(columns), "TERMINAL_WIDTH": str(columns)}
    result = CliRunner().invoke(application, [*command, "--help"], env=env)
    assert result.exit_code == 0, result.output
    return result.output


@pytest.mark.parametrize(("application", "name"), BOTH)
def test_help_has_an_example_whole_option_names_and_no_broken_lines(application, name):
    wide, narrow = (help_of(application, name, columns=width) for width in (80, 40))
    assert f"Example:\n\n  {application.info.name} {name} " in wide
    options = re.findall(r"^  (--[a-z-]+)", wide, flags=re.MULTILINE)
    assert "--help" in options
    assert all(re.search(rf"^  {option}\b", narrow, re.MULTILINE) for option in options)
    assert "<bool>" not in wide
    wide.encode("ascii")
    for paragraph in narrow.split("Options:")[0].split("\n\n")[1:-1]:
        lines = paragraph.splitlines()
        for line, after in itertools.pairwise(lines):  # each is as full as it may be
            assert len(line) + 1 + len(after.split()[0]) > 48 or paragraph.startswith("Arguments")


def test_the_list_of_commands_has_whole_sentences():
    assert "..." not in help_of(app).split("Commands:")[1]


def test_long_commands_can_be_quiet_and_keep_their_results():
    def predict(out: str, times: int = 2) -> None:
        """Say something."""
        output.note("progress")
        typer.echo(out * times)

    application = typer.Typer(name="fundus-uda")
    register(application, {"predict": (predict, "--out x"), "configs": (predict, "")})
    loud = CliRunner().invoke(application, ["predict", "ab"])
    quiet = CliRunner().invoke(application, ["predict", "ab", "--times", "3", "--quiet"])
    assert loud.output == "progress\nabab\n"
    assert quiet.output == "ababab\n"
    assert CliRunner().invoke(application, ["configs", "ab", "--quiet"]).exit_code == 2


def test_long_commands_can_be_verbose_but_not_quiet_too():
    def predict() -> None:
        """Say something."""
        output.detail("detail")
        typer.echo("result")

    application = typer.Typer(name="fundus-uda")
    application.callback()(lambda: None)
    register(application, {"predict": (predict, "")})
    verbose = CliRunner().invoke(application, ["predict", "-v"])
    assert verbose.stdout == "result\n"
    first, second = verbose.stderr.splitlines()
    assert re.match(r"fundus-uda \S+, torch \S+, Python \S+, \S+$", first)
    assert second == "detail"
    assert CliRunner().invoke(application, ["predict"]).stderr == ""
    both = CliRunner().invoke(application, ["predict", "-q", "-v"])
    assert both.exit_code == 2
    assert "Expected --quiet or --verbose. Got: both." in both.stderr


def test_an_ascii_terminal_shows_what_it_can():
    code = "from cli.failures import run_app; run_app(lambda: print('M\u00fcller \u2026'))"
    env = {**os.environ, "PYTHONIOENCODING": "ascii"}
    run = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True)
    assert run.stdout == "M\\xfcller \\u2026\n", run.stderr


@pytest.mark.parametrize(("prefix", "wanted"), [("as", "asa_asc"), ("paper/a", "paper/asa")])
@pytest.mark.parametrize("command", ["train", "configs"])
def test_experiments_are_completed(prefix, wanted, command):
    env = {
        "_FUNDUS_UDA_COMPLETE": "complete_zsh",
        "_TYPER_COMPLETE_ARGS": f"fundus-uda {command} {prefix}",
    }
    result = CliRunner().invoke(app, [], env=env, prog_name="fundus-uda")
    assert wanted in result.output
    assert "cpu/source" not in result.output


def test_configs_describes_each_experiment_and_shows_one(monkeypatch):
    monkeypatch.delenv("FUNDUS_UDA_DATA", raising=False)
    listed = CliRunner().invoke(app, ["configs"]).output
    (row,) = [line for line in listed.splitlines() if re.match(r"\| cpu/asa +\|", line)]
    cells = [cell.strip() for cell in row.strip("|").split("|")]
    assert cells[:3] == ["cpu/asa", "ASA", "refuge -> drishti_gs"]
    assert len(listed.splitlines()) == len(shipped_experiments("fundus")) + 2
    shown = CliRunner().invoke(app, ["configs", "asa"]).output
    assert "method: asa\n" in shown
    assert "  source: refuge:${FUNDUS_UDA_DATA}/refuge#train\n" in shown
    assert "precision: float32\n" in shown  # a default
    nearest = CliRunner().invoke(app, ["configs", "assa"])
    assert "Did you mean cpu/asa?" in str(nearest.exception)
    assert "resnet101" in CliRunner().invoke(road_app, ["configs", "gta5/resnet101_asa"]).output


@pytest.mark.parametrize(("name", "told"), [
    ("train", "Stopped. Go on with the same command and --resume."),
    ("predict", "Stopped. Go on with the same command."),
    ("evaluate", "Stopped. Nothing goes on from there"),
    ("configs", "Stopped."),
])  # fmt: skip
def test_an_interrupt_says_how_to_go_on_and_ends_with_130(name, told):
    def interrupted(out: str = typer.Option("x")) -> None:
        """Work."""
        raise KeyboardInterrupt

    application = typer.Typer(name="fundus-uda")
    application.callback()(lambda: None)
    register(application, {name: (interrupted, "--out x")})
    result = CliRunner().invoke(application, [name, "--out", "y"])
    assert result.exit_code == 130
    assert told in result.stderr


@pytest.mark.parametrize(("number", "code"), [
    (signal.SIGTERM, 143), (signal.SIGINT, 130), (signal.SIGUSR1, 128 + signal.SIGUSR1),
])  # fmt: skip
@pytest.mark.usefixtures("signals")
def test_a_signal_stops_a_command_with_128_and_its_number(number, code):
    def stopped(out: str = typer.Option("x")) -> None:
        """Work."""
        os.kill(os.getpid(), number)
        raise AssertionError("the command went on")

    application = typer.Typer(name="fundus-uda")
    application.callback()(lambda: None)
    register(application, {"train": (stopped, "--out x")})
    result = CliRunner().invoke(application, ["train", "--out", "y"])
    assert result.exit_code == code
    assert "Stopped. Go on with the same command and --resume." in result.stderr


OCCUPIED = [
    (app, "measure", ["masks", "--out", "t.csv"], "t.csv"),
    (app, "draw", ["folder:x", "run", "--out", "t.png"], "t.png"),
    (app, "compare", ["run", "--out", "t.md"], "t.md"),
    (app, "report", ["run", "--out", "t.html"], "t.csv"),
    (app, "evaluate", ["run", "folder:x", "--out", "e"], "e/mine.txt"),
    (road_app, "draw", ["gta5:x", "run", "--out", "t.png"], "t.png"),
    (road_app, "compare", ["run", "--out", "t.md"], "t.md"),
    (road_app, "evaluate", ["run", "gta5:x", "--out", "e"], "e/mine.txt"),
]


@pytest.mark.parametrize(("application", "name", "rest", "there"), OCCUPIED)
def test_an_output_that_exists_is_replaced_on_request_alone(
    application, name, rest, there, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "e").mkdir()
    if name == "evaluate":
        (tmp_path / "run").mkdir()
        (tmp_path / "run" / "last.pt").touch()
    (tmp_path / there).write_text("kept")
    refused = str(CliRunner().invoke(application, [name, *rest]).exception)
    assert "Expected a new" in refused
    assert there.split("/")[0] in refused
    other = str(CliRunner().invoke(application, [name, *rest, "--overwrite"]).exception)
    assert ("no command says" in other) if name == "evaluate" else ("Expected a new" not in other)
    assert (tmp_path / there).read_text() == "kept"  # the rest is wrong, and nothing is written


@pytest.mark.parametrize(("application", "name", "what"), [
    (app, "predict", "photos"), (road_app, "predict", "photos"), (app, "evaluate", "folder:x"),
])  # fmt: skip
def test_swapped_arguments_are_recognised(application, name, what, tmp_path):
    (tmp_path / "last.pt").write_bytes(b"")
    error = CliRunner().invoke(application, [name, what, str(tmp_path)]).exception
    assert f"Got: {what} first, and the model {tmp_path} after it. Swap them." in str(error)


def test_photographs_that_are_there_are_not_taken_for_a_model(tmp_path):
    model, photographs = tmp_path / "model", tmp_path / "photographs"
    for folder in (model, photographs):
        folder.mkdir()
    (model / "last.pt").touch()
    (photographs / "a.jpg").touch()
    error = CliRunner().invoke(app, ["predict", str(photographs), str(model)]).exception
    assert f"Got: {photographs} first, and the model {model} after it." in str(error)
