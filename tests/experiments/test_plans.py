"""A table before it is trained, for both applications."""

import shutil
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
import torch
from typer.testing import CliRunner

import cli.main
import cli.roadscene
from cli.tables import print_table
from fundus_uda.application import FUNDUS
from fundus_uda.engine.run_folder import RunFolder
from fundus_uda.errors import InputError
from fundus_uda.experiments.cost import Cost
from fundus_uda.experiments.plans import SHOWN, list_costs, list_runs
from fundus_uda.experiments.reproduce import reproduce
from fundus_uda.experiments.tables import Quoted, Row
from roadscene.application import ROADSCENE
from tests.fixtures.tiny_streets import streets

CPU = torch.device("cpu")
RUNNER = CliRunner()


@pytest.fixture
def tiny(cameras) -> tuple[str, ...]:
    data = [f"data.{domain}=folder:{cameras / 'b'}" for domain in ("target", "test")]
    size = ["data.size=64", "batch_size=2", "steps=1", "snapshot_every=1", "affinity.stride=1"]
    return (f"data.source=folder:{cameras / 'a'}", *data, *size)


@pytest.fixture
def tiny_streets() -> tuple[str, ...]:
    """Settings of small streets, which a plan does not read."""
    data = [f"data.{domain}=cityscapes:/streets" for domain in ("source", "target", "test")]
    sizes = [f"data.{domain}_size=[64,64]" for domain in ("source", "target")]
    return (*data, *sizes, "batch_size=2", "affinity.stride=1")


def never(*_, **__):
    raise AssertionError("something was trained")


UNTRAINED = {"train": never, "translate": never}
UNCOUNTED = {"step_cost": lambda _: Cost(1.0, 1.0, 1.0), "step_seconds": lambda *_: 36.0}
"""In place of counts and measurements, for tests of something else."""


def test_the_runs_of_a_table_are_listed_with_settings_hours_and_state(tiny, tmp_path):
    table7, rows = replace(FUNDUS, **UNTRAINED, **UNCOUNTED), ("asa", "recipe")
    listed = list_runs(table7, "table7", tmp_path / "out", CPU, 2, "cpu", tiny, rows)
    listed = listed.set_index("run")
    assert list(listed.index) == [
        f"{name}-seed{seed}" for name in ("source", "asa", "mean_teacher") for seed in range(2)
    ]
    asa = listed.loc["asa-seed1"]
    assert (asa["title"], asa["experiment"], asa["method"]) == ("ASA", "cpu/asa", "asa")
    assert asa["start"] == str(tmp_path / "out" / "source-seed1")
    assert (asa["checkpoint"], asa["steps"], asa["batch"]) == ("last", 1, 2)
    assert (asa["lr"], asa["D lr"], asa["neighbors"]) == (0.02, 0.001, 8)
    assert (asa["adversarial"], asa["regulariser"]) == (0.01, 0.01)
    assert asa["paper"] == "0.806, 0.900, 0.853"
    assert listed["state"].eq("missing").all()
    assert not (tmp_path / "out").exists()


def test_hours_are_those_of_one_step_by_steps_and_operations(tiny, tmp_path):
    """A step of source only takes 36 s here, and one of ASA costs twice as many operations."""

    def cost(settings):
        return Cost(1.0, 200.0 if settings.method == "asa" else 100.0, 1.0)

    measured = []

    def seconds(settings, device):
        measured.append(settings.method)
        return 36.0

    rows = {name: FUNDUS.tables("cpu")["table3"][name] for name in ("source", "asa")}
    few = replace(
        FUNDUS, tables=lambda _: {"few": rows}, step_cost=cost, step_seconds=seconds, **UNTRAINED
    )
    given = (*tiny, "steps=300")
    listed = list_runs(few, "few", tmp_path, CPU, 3, "cpu", given)
    assert listed["hours"].tolist() == [3.0, 6.0]
    assert measured == ["source"]


def test_what_is_begun_or_finished_is_told_from_what_is_missing(tiny, tmp_path):
    names = ("source", "asa", "oracle")
    rows = {name: FUNDUS.tables("cpu")["table7"][name] for name in names}
    few = replace(FUNDUS, tables=lambda _: {"few": rows})
    reproduce(few, "few", tmp_path, CPU, 1, "cpu", tiny, lambda _: None, ("source",))
    RunFolder(tmp_path / "asa-seed0").begin(FUNDUS.read_settings("cpu/asa", list(tiny)), CPU)
    before = sorted(tmp_path.rglob("*"))
    untouched = replace(few, **UNTRAINED, **UNCOUNTED)
    listed = list_runs(untouched, "few", tmp_path, CPU, 1, "cpu", tiny)
    assert listed["state"].tolist() == ["finished", "begun", "missing"]
    assert sorted(tmp_path.rglob("*")) == before


def test_quoted_rows_are_no_runs(tiny_streets, tmp_path):
    paper = ROADSCENE.tables("paper")["table3a"]
    assert sum(isinstance(row, Quoted) for row in paper.values()) == 5
    rows = {"dcan": paper["dcan"], "source": ROADSCENE.tables("cpu")["table1"]["source"]}
    few = replace(ROADSCENE, tables=lambda _: {"few": rows}, **UNTRAINED, **UNCOUNTED)
    listed = list_runs(few, "few", tmp_path, CPU, 1, "cpu", tiny_streets)
    assert listed["run"].tolist() == ["source-seed0"]
    assert list_costs(few, "few", "cpu", tiny_streets)["row"].tolist() == ["source"]


@pytest.mark.slow
@pytest.mark.parametrize("application", [FUNDUS, ROADSCENE], ids=lambda a: a.group)
def test_every_row_of_every_table_is_listed_and_costed(
    application, tiny, tiny_streets, tmp_path, monkeypatch
):
    """Those that start from a run that is not there yet, too, and those that keep a fraction."""
    given = tiny if application is FUNDUS else tiny_streets
    counts = {}

    def step_cost(settings):
        told = settings.model_dump_json(exclude={"seed", "start"})
        if told not in counts:
            counts[told] = application.step_cost(settings)
        return counts[told]

    each_once = replace(application, step_cost=step_cost, **UNTRAINED)
    for table, rows in application.tables("cpu").items():
        runs = [name for name, row in rows.items() if isinstance(row, Row)]
        listed = list_runs(each_once, table, tmp_path / "out", CPU, 1, "cpu", given)
        assert listed["run"].tolist() == [f"{name}-seed0" for name in runs]
        costs = list_costs(each_once, table, "cpu", given)
        assert costs["row"].tolist() == runs
        assert (costs[["gflops_counted_alike", "peak_megabytes"]] > 0).all(axis=None)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("application", "name"),
    [(FUNDUS, "cpu/cbst"), (FUNDUS, "cpu/mean_teacher"), (ROADSCENE, "cpu/asa_st")],
)
def test_a_run_that_starts_from_one_to_come_can_be_costed(application, name, tiny, tiny_streets):
    given = tiny if application is FUNDUS else tiny_streets
    cost = application.step_cost(application.read_settings(name, list(given)))
    assert cost.gflops > 2 * cost.forward_gmacs > 0
    assert cost.peak_megabytes > 0


def test_costs_stand_beside_the_papers_where_the_task_is_its_own(monkeypatch):
    """Table V is of street scenes: its operations are not those of the optic disc."""
    monkeypatch.setenv("FUNDUS_UDA_DATA", "/data")  # of the weights
    counted = Cost(forward_gmacs=660.0, gflops=2000.04, peak_megabytes=999.9)
    columns = ["gflops_of_the_paper", "gflops_counted_alike", "difference"]
    for application, profile, expected in (
        (ROADSCENE, "paper", [644.9, 660.0, 2.3]),
        (ROADSCENE, "cpu", [None, 660.0, None]),
        (FUNDUS, "paper", [None, 660.0, None]),
    ):
        data = [f"data.{domain}=folder:x" for domain in ("source", "target", "test")]
        as_if = replace(application, step_cost=lambda _: counted)
        costs = list_costs(as_if, "table5", profile, tuple(data), ("source",))
        found = [None if pd.isna(value) else value for value in costs.loc[0, columns]]
        assert found == pytest.approx(expected)
        assert costs.loc[0, ["gflops_of_a_step", "peak_megabytes"]].tolist() == [2000, 1000]


def cells(line: str) -> list[str]:
    """Split a line of a Markdown table."""
    return [cell.strip() for cell in line.strip("|").split("|")]


def test_the_command_lists_runs_and_makes_no_folder(tiny, tmp_path):
    out = tmp_path / "out"
    given = [*tiny, "steps=30000"]
    arguments = ["table3", *given, "--row", "asa_fda", "--seeds", "1", "--out", str(out)]
    result = RUNNER.invoke(cli.main.app, ["reproduce", *arguments, "--dry-run", "--device", "cpu"])
    assert result.exit_code == 0, result.output
    header, _, *lines = map(cells, result.stdout.splitlines())
    shown = ["run", "title", "experiment", *SHOWN.values(), "hours", "state", "paper"]
    assert header == shown
    assert [line[0] for line in lines] == ["source-seed0", "asa_fda-seed0"]
    assert {line[header.index("state")] for line in lines} == {"missing"}
    assert {line[header.index("steps")] for line in lines} == {"30000"}
    assert all(float(line[header.index("hours")]) > 0 for line in lines)
    assert result.stderr.startswith("Measuring a step of source-seed0 on cpu")
    assert not out.exists()


def test_the_command_counts_costs(tiny, tmp_path):
    out = tmp_path / "out"
    arguments = ["reproduce", "table5", *tiny, "--row", "asc_8", "--out", str(out), "--costs"]
    result = RUNNER.invoke(cli.main.app, [*arguments, "--device", "cpu"])
    assert result.exit_code == 0, result.output
    header, _, *lines = map(cells, result.output.splitlines())
    assert [line[0] for line in lines] == ["source", "asc_8"]
    forward = [float(line[header.index("gflops_of_a_step")]) for line in lines]
    assert forward[1] == pytest.approx(2 * forward[0], rel=0.02)  # it sees the target, too
    assert not out.exists()


@pytest.mark.parametrize("option", ["--dry-run", "--costs"])
def test_an_unknown_table_names_those_of_the_profile(option):
    for app, profile, known in (
        (cli.main.app, "cpu", "table7, table3, table4, table5"),
        (cli.roadscene.app, "cpu", "table1, table3a, table4, table5"),
        (cli.roadscene.app, "paper", "table1, table2, table3a, table3b, table4, table5, table6"),
    ):
        arguments = ["reproduce", "table9", option, "--profile", profile]
        with pytest.raises(InputError, match=f"one of {known} with --profile {profile}. Got"):
            RUNNER.invoke(app, arguments, catch_exceptions=False)


def test_quoted_rows_are_printed_as_quoted_and_never_run(tmp_path, monkeypatch):
    """The command's own table of streets, with a row of others in it."""
    root = streets(tmp_path / "streets")
    paper = ROADSCENE.tables("paper")["table1"]
    rows = {"cycada": paper["cycada"], "source": ROADSCENE.tables("cpu")["table1"]["source"]}
    few = replace(ROADSCENE, tables=lambda _: {"few": rows})
    monkeypatch.setattr("roadscene.application.ROADSCENE", few)
    splits = (("source", "source#train"), ("target", "target#train"), ("test", "target#val"))
    given = [f"data.{name}=cityscapes:{root}/{split}" for name, split in splits]
    given += [f"data.{name}_size=[64,64]" for name in ("source", "target")]
    given += ["batch_size=2", "steps=1", "snapshot_every=1"]
    out = tmp_path / "out"
    arguments = ["reproduce", "few", *given, "--seeds", "1", "--out", str(out), "--device", "cpu"]
    result = RUNNER.invoke(cli.roadscene.app, arguments)
    assert result.exit_code == 0, result.output
    for text in (result.output, (out / "few.md").read_text()):
        assert "| CyCADA, VGG-16 | quoted |  |  |  |  | 34.8 |" in text
        assert "| Source only | last | 1 |" in text
    assert sorted(path.name for path in out.iterdir() if path.is_dir()) == ["source-seed0"]
    assert pd.read_csv(out / "few.csv")["row"].tolist() == ["source"]
    shutil.rmtree(out)


def test_a_blank_stands_for_what_is_missing(capsys):
    print_table(pd.DataFrame({"row": ["a", "b"], "paper": [1.5, None], "start": [None, Path("r")]}))
    header, _, *lines = map(cells, capsys.readouterr().out.splitlines())
    assert header == ["row", "paper", "start"]
    assert lines == [["a", "1.5", ""], ["b", "", "r"]]
