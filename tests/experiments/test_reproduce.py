"""Tables of tiny runs: what is trained, resumed, refused and written."""

import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from PIL import Image

from fundus_uda import application
from fundus_uda.application import FUNDUS
from fundus_uda.config.read import shipped_experiments
from fundus_uda.errors import InputError, RunError
from fundus_uda.experiments import reproduce as reproduction
from fundus_uda.experiments.reproduce import reproduce
from fundus_uda.experiments.results import as_markdown, collect
from fundus_uda.experiments.tables import TABLES, BestOf, Row

CPU = torch.device("cpu")
ROWS = {
    "source": Row("Source only", "source", seeds=None, paper=(0.1, 0.2, 0.15)),
    "mean_teacher": Row("Mean teacher", "mean_teacher", start="source", seeds=None),
    "oracle": Row("Oracle", "oracle"),
}


def tiny(cameras) -> tuple[str, ...]:
    data = [f"data.{domain}=folder:{cameras / 'b'}" for domain in ("target", "test")]
    size = ["data.size=64", "batch_size=2", "steps=1", "snapshot_every=1"]
    return (f"data.source=folder:{cameras / 'a'}", *data, *size)


TINY = replace(FUNDUS, tables={"tiny": ROWS})


def test_a_table_is_trained_written_and_then_left_alone(cameras, tmp_path):
    said: list[str] = []
    reproduce(TINY, "tiny", tmp_path, CPU, 2, "cpu", tiny(cameras), said.append)
    written = collect(TINY, "tiny", tmp_path)
    assert list(zip(written["row"], written["seed"], strict=True)) == [
        ("source", 0),
        ("source", 1),
        ("mean_teacher", 0),
        ("mean_teacher", 1),
        ("oracle", 0),
    ]
    assert said[0].startswith("Run 1 of ")
    assert [line.partition(": ")[2] for line in said[:3]] == [
        "Source only, seed 0",
        "Mean teacher, seed 0",
        "Oracle, seed 0",
    ]
    assert (written["seconds"] > 0).all()
    source, _, teacher, _, oracle = written["dice_mean"]
    assert written["gap_closed"][2] == pytest.approx((teacher - source) / (oracle - source))
    assert written["gap_closed"].isna().tolist() == [False, True, False, True, False]
    assert (tmp_path / "tiny.md").read_text().startswith("| Method | Seeds |")
    assert Image.open(tmp_path / "tiny.png").width > 500
    assert written["paper"].tolist()[:2] == ["0.100, 0.200, 0.150"] * 2

    def never(*_, **__):
        raise AssertionError("a finished run was trained again")

    trained = replace(TINY, train=never)
    again = reproduce(trained, "tiny", tmp_path, CPU, 2, "cpu", tiny(cameras), said.append)
    assert again.equals(written)


def test_a_run_of_other_settings_is_refused(cameras, tmp_path):
    reproduce(TINY, "tiny", tmp_path, CPU, 1, "cpu", tiny(cameras), lambda _: None)
    with pytest.raises(InputError, match=r"(?s)batch_size: 3 here, 2 there.*another --out"):
        reproduce(TINY, "tiny", tmp_path, CPU, 1, "cpu", (*tiny(cameras), "batch_size=3"))


def test_an_unknown_table_names_the_known_ones(tmp_path):
    with pytest.raises(InputError, match="table7, table3, table4, table5"):
        reproduce(FUNDUS, "table1", tmp_path, CPU)


def test_rows_bring_those_they_start_from(cameras, tmp_path):
    written = reproduce(
        TINY, "tiny", tmp_path, CPU, 1, "cpu", tiny(cameras), lambda _: None, ("mean_teacher",)
    )
    assert written["row"].tolist() == ["source", "mean_teacher"]


def test_a_translated_row_brings_the_network_that_translates():
    rows = reproduction._with_starts(FUNDUS.tables["table7"], ("asa_it_st",))
    assert list(rows) == ["source", "asa_it", "asa_it_st"]


@pytest.mark.parametrize(("reason", "chosen"), [("", "mean_teacher"), ("Worse.", "source")])
def test_a_choice_has_the_scores_of_the_chosen_run(cameras, tmp_path, reason, chosen):
    rows = {**ROWS, "choice": BestOf("Best", "source", "mean_teacher")}
    judged = []

    def judge(first, second, _):
        judged.append((first.name, second.name))
        return reason, {"source-seed0": 0.5}

    choosing = replace(FUNDUS, tables={"tiny": rows}, select_without_labels=judge)
    for _ in range(2):
        given = (tmp_path, CPU, 1, "cpu", tiny(cameras), lambda _: None, ("choice",))
        written = reproduce(choosing, "tiny", *given).set_index("row")
    assert written.index.tolist() == ["source", "mean_teacher", "choice"]
    assert judged == [("source-seed0", "mean_teacher-seed0")]
    assert written["dice_mean"]["choice"] == written["dice_mean"][chosen]
    decision = json.loads((tmp_path / "choice-seed0" / "chosen.json").read_text())
    assert decision["chosen"] == f"{chosen}-seed0"
    assert (decision["reason"], decision["numbers"]) == (reason, {"source-seed0": 0.5})


def test_a_choice_does_not_touch_a_run_that_is_there(cameras, tmp_path):
    rows = {**ROWS, "choice": BestOf("Best", "source", "mean_teacher")}
    choosing = replace(FUNDUS, tables={"tiny": rows}, select_without_labels=lambda *_: ("", {}))
    (tmp_path / "choice-seed0").mkdir()
    (tmp_path / "choice-seed0" / "config.yaml").write_text("steps: 1")
    given = (tmp_path, CPU, 1, "cpu", tiny(cameras), lambda _: None, ("choice",))
    with pytest.raises(InputError, match="choice-seed0 what .* Got: another run"):
        reproduce(choosing, "tiny", *given)
    assert (tmp_path / "choice-seed0" / "config.yaml").is_file()


def test_a_choice_is_made_as_the_recipe_makes_it(monkeypatch):
    estimates = {"first": 0.8, "second": 0.82}
    monkeypatch.setattr(
        application, "load_model", lambda run, _: SimpleNamespace(name=run.name, settings=None)
    )
    monkeypatch.setattr(
        application,
        "scored",
        lambda model, *_: {"estimated_dice": estimates[model.name], "collapsed": False},
    )
    first, second = Path("first"), Path("second")
    reason, numbers = application.FUNDUS.select_without_labels(first, second, CPU)
    assert reason == ""
    assert {run: numbers[run]["estimated_dice"] for run in numbers} == estimates
    reason, _ = application.FUNDUS.select_without_labels(second, first, CPU)
    assert reason.startswith("Without labels, its Dice is estimated at 0.8000")


def test_rows_that_fail_leave_out_those_that_go_on_from_them_alone(cameras, tmp_path):
    def fails(settings, *given):
        if settings.method == "mean_teacher":
            raise RunError("Expected finite losses.")
        return FUNDUS.train(settings, *given)

    rows = {
        "source": ROWS["source"],
        "mean_teacher": replace(ROWS["mean_teacher"], seeds=1),
        "after": Row("After", "mean_teacher", start="mean_teacher"),
        "choice": BestOf("Best", "source", "mean_teacher", seeds=1),
        "oracle": ROWS["oracle"],
    }
    failing = replace(FUNDUS, tables={"tiny": rows}, train=fails)
    with pytest.raises(RunError, match="All but 1 rows.*Mean teacher, seed 0: Expected finite"):
        reproduce(failing, "tiny", tmp_path, CPU, 1, "cpu", tiny(cameras), lambda _: None)
    assert collect(failing, "tiny", tmp_path)["row"].tolist() == ["source", "choice", "oracle"]


def test_an_unknown_row_names_the_known_ones(tmp_path):
    with pytest.raises(InputError, match=r"rows of source, mean_teacher, oracle. Got: teacher"):
        reproduce(TINY, "tiny", tmp_path, CPU, only=("teacher",))


def test_the_markdown_has_mean_spread_and_the_papers_values(tmp_path):
    for seed, mean in ((0, 0.70), (1, 0.72)):
        folder = tmp_path / f"source-seed{seed}" / "evaluation" / "last"
        folder.mkdir(parents=True)
        dice = {key: {"mean": mean} for key in ("dice_cup", "dice_disc", "dice_mean")}
        (folder / "summary.json").write_text(json.dumps({"seed": seed, **dice}))
    line = as_markdown(TINY, "tiny", collect(TINY, "tiny", tmp_path)).splitlines()[2]
    assert line.startswith("| Source only | 2 | 0.710 ± 0.014 | 0.710 ± 0.014 | 0.710 ± 0.014 |")
    assert line.endswith("|  | 0.100, 0.200, 0.150 |")


def test_a_weight_is_a_multiple_of_the_profiles(cameras, tmp_path):
    row = TABLES["table4"]["asa_0.2"]
    values = {}
    for profile in ("cpu", "paper"):
        given = (FUNDUS, row, 0, tmp_path, CPU, profile, tiny(cameras))
        values[profile] = reproduction._settings(*given).adaptation.adversarial_weight
    assert values == {"cpu": pytest.approx(0.002), "paper": pytest.approx(0.0002)}


def test_a_table_with_costs_has_them_in_both_files(cameras, tmp_path):
    rows = {name: TABLES["table5"][name] for name in ("source", "asa_4", "asa_8")}
    costed = replace(FUNDUS, tables={"table5": rows})
    written = reproduce(costed, "table5", tmp_path, CPU, 1, "cpu", tiny(cameras), lambda _: None)
    assert written["gflops"].is_monotonic_increasing
    assert written["peak_megabytes"].is_monotonic_increasing
    header, _, line, *_ = (tmp_path / "table5.md").read_text().splitlines()
    assert "| GFLOPs | Memory (MB) | Paper |" in header
    assert line.endswith("| 38.1 % mIoU (GTA5) |")


@pytest.mark.parametrize("table", FUNDUS.tables)
def test_every_row_has_settings_and_a_start_above_it(table):
    names = list(FUNDUS.tables[table])
    for place, row in enumerate(FUNDUS.tables[table].values()):
        if isinstance(row, BestOf):
            assert {row.first, row.second} <= set(names[:place])
            continue
        for profile in ("cpu", "paper"):
            assert f"{profile}/{row.experiment}" in shipped_experiments("fundus")
        assert row.start is None or row.start in names[:place]
