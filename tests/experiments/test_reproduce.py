"""Tables of tiny runs: what is trained, resumed, refused and written."""

import json
import shutil
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image

from fundus_uda import application
from fundus_uda.application import FUNDUS
from fundus_uda.config.read import shipped_experiments
from fundus_uda.engine.checkpoint import checksum, load_checkpoint
from fundus_uda.errors import InputError, RunError
from fundus_uda.experiments.reproduce import reproduce, rows_of, run_settings
from fundus_uda.experiments.results import as_markdown, collect
from fundus_uda.experiments.tables import BestOf, PaperValue, Quoted, Row
from fundus_uda.masks.dice import DICE
from tests.fixtures.runs import assert_identical

CPU = torch.device("cpu")
PAPER = PaperValue("0.100, 0.200, 0.150", dict(zip(DICE, (0.1, 0.2, 0.15), strict=True)))
ROWS = {
    "source": Row("Source only", "cpu/source", seeds=None, paper=PAPER),
    "mean_teacher": Row("Mean teacher", "cpu/mean_teacher", start="source", seeds=None),
    "quoted": Quoted("Of others", PaperValue("0.8")),
    "oracle": Row("Oracle", "cpu/oracle"),
}


def tiny(cameras) -> tuple[str, ...]:
    data = [f"data.{domain}=folder:{cameras / 'b'}" for domain in ("target", "test")]
    size = ["data.size=64", "batch_size=2", "steps=1", "snapshot_every=1", "affinity.stride=1"]
    return (f"data.source=folder:{cameras / 'a'}", *data, *size)


def with_rows(rows, **changes):
    """The application, with one table."""
    return replace(FUNDUS, tables=lambda profile: {"tiny": rows}, **changes)


TINY = with_rows(ROWS)


def test_a_table_is_trained_written_and_then_left_alone(cameras, tmp_path):
    said: list[str] = []
    reproduce(TINY, "tiny", tmp_path, CPU, 2, "cpu", tiny(cameras), said.append)
    written = collect(TINY, ROWS, tmp_path)
    assert set(written["checkpoint"]) <= {"last", "selected"}
    last = written[written["checkpoint"] == "last"].reset_index()
    assert list(zip(last["row"], last["seed"], strict=True)) == [
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
    source, _, teacher, _, oracle = last["dice_mean"]
    assert last["gap_closed"][2] == pytest.approx((teacher - source) / (oracle - source))
    assert last["gap_closed"].isna().tolist() == [False, True, False, True, False]
    assert (tmp_path / "tiny.md").read_text().startswith("| Method | Checkpoint | Seeds |")
    assert Image.open(tmp_path / "tiny.png").width > 500
    assert last["paper"].tolist()[:2] == ["0.100, 0.200, 0.150"] * 2
    assert not list(tmp_path.glob("quoted*"))

    def never(*_, **__):
        raise AssertionError("a finished run was trained again")

    trained = replace(TINY, train=never)
    again = reproduce(trained, "tiny", tmp_path, CPU, 2, "cpu", tiny(cameras), said.append)
    assert again.equals(written)


@pytest.mark.parametrize("left", ["", ".lock", ".tmp.config.yaml"])
def test_a_table_that_was_killed_at_once_goes_on(left, cameras, tmp_path):
    run = tmp_path / "source-seed0"
    run.mkdir()
    if left:
        (run / left).touch()
    rows = with_rows({"source": ROWS["source"]})
    written = reproduce(rows, "tiny", tmp_path, CPU, 1, "cpu", tiny(cameras), lambda _: None)
    assert set(written["row"]) == {"source"}


def test_a_run_of_other_settings_is_refused(cameras, tmp_path):
    reproduce(TINY, "tiny", tmp_path, CPU, 1, "cpu", tiny(cameras), lambda _: None)
    with pytest.raises(InputError, match=r"(?s)batch_size: 3 here, 2 there.*another --out"):
        reproduce(TINY, "tiny", tmp_path, CPU, 1, "cpu", (*tiny(cameras), "batch_size=3"))


def test_an_unknown_table_names_those_of_the_profile(tmp_path):
    for profile in ("cpu", "paper"):
        message = f"table7, table3, table4, table5 with --profile {profile}. Got: 'table1'"
        with pytest.raises(InputError, match=message):
            reproduce(FUNDUS, "table1", tmp_path, CPU, profile=profile)


def test_rows_bring_those_they_start_from(cameras, tmp_path):
    written = reproduce(
        TINY, "tiny", tmp_path, CPU, 1, "cpu", tiny(cameras), lambda _: None, ("mean_teacher",)
    )
    assert written["row"].unique().tolist() == ["source", "mean_teacher"]


@pytest.mark.parametrize(
    ("profile", "row", "brought"),
    [
        ("cpu", "asa_it_st", ["source", "asa_it", "asa_it_st"]),
        ("cpu", "asa_fda", ["source", "asa_fda"]),
        # the paper's ASA starts from ImageNet, and only CyCADA needs a network to translate
        ("paper", "asa_it_st", ["source", "asa_it", "asa_it_st"]),
        ("paper", "asa_fda", ["asa_fda"]),
        ("paper", "asa_st", ["asa", "asa_st"]),
    ],
)
def test_a_row_brings_the_networks_that_it_needs(profile, row, brought, cameras, monkeypatch):
    monkeypatch.delenv("FUNDUS_UDA_DATA", raising=False)  # the data are all named
    assert list(rows_of(FUNDUS, "table3", profile, tiny(cameras), (row,))) == brought


@pytest.mark.parametrize(("reason", "chosen"), [("", "mean_teacher"), ("Worse.", "source")])
def test_a_choice_has_the_scores_of_the_chosen_run(cameras, tmp_path, reason, chosen):
    rows = {**ROWS, "choice": BestOf("Best", ("source", "mean_teacher"))}
    judged = []

    def judge(runs, _):
        judged.append([run.name for run in runs])
        return runs[0] if reason else runs[1], reason, {"source-seed0": 0.5}

    choosing = with_rows(rows, select_without_labels=judge)
    for _ in range(2):
        given = (tmp_path, CPU, 1, "cpu", tiny(cameras), lambda _: None, ("choice",))
        written = reproduce(choosing, "tiny", *given)
    of = {row: list(zip(*(runs[key] for key in ("checkpoint", *DICE)), strict=True))
          for row, runs in written.groupby("row", sort=False)}  # fmt: skip
    assert list(of) == ["source", "mean_teacher", "choice"]
    assert judged == [["source-seed0", "mean_teacher-seed0"]]
    assert of["choice"] == of[chosen]
    decision = json.loads((tmp_path / "choice-seed0" / "chosen.json").read_text())
    assert decision["chosen"] == f"{chosen}-seed0"
    assert (decision["reason"], decision["numbers"]) == (reason, {"source-seed0": 0.5})


def test_a_choice_does_not_touch_a_run_that_is_there(cameras, tmp_path):
    rows = {**ROWS, "choice": BestOf("Best", ("source", "mean_teacher"))}
    choosing = with_rows(rows, select_without_labels=lambda runs, _: (runs[0], "", {}))
    (tmp_path / "choice-seed0").mkdir()
    (tmp_path / "choice-seed0" / "config.yaml").write_text("steps: 1")
    given = (tmp_path, CPU, 1, "cpu", tiny(cameras), lambda _: None, ("choice",))
    with pytest.raises(InputError, match="choice-seed0 what .* Got: another run"):
        reproduce(choosing, "tiny", *given)
    assert (tmp_path / "choice-seed0" / "config.yaml").is_file()


@pytest.mark.parametrize(
    ("estimates", "chosen", "judged"),
    [((0.8, 0.82, 0.83), 2, 3), ((0.8, 0.82, 0.82), 1, 3), ((0.8, 0.79, 0.83), 0, 2)],
)
def test_a_choice_is_made_as_the_recipe_makes_it(estimates, chosen, judged, monkeypatch):
    """Stage after stage, until one is rejected."""
    runs = [Path("first"), Path("second"), Path("third")]
    shares = {
        f"{of}{structure}_share": 0.2 for of in ("", "source_") for structure in ("disc", "cup")
    }
    rows = {
        run.name: {"estimates": np.full(2, estimate), "estimated_dice": estimate, **shares}
        | {"collapsed": False, "sizes_not_matched": ""}
        for run, estimate in zip(runs, estimates, strict=True)
    }
    monkeypatch.setattr(
        "fundus_uda.segmentation.model.load_model",
        lambda run, _: SimpleNamespace(name=run.name, settings=None),
    )
    monkeypatch.setattr("fundus_uda.recipe.judging.scored", lambda model, *_: rows[model.name])
    kept, reason, numbers = application.FUNDUS.select_without_labels(runs, CPU)
    assert kept == runs[chosen]
    assert len(numbers) == judged
    assert reason.startswith("Without labels, its Dice is estimated at 0." if chosen < 2 else "")


def test_rows_that_fail_leave_out_those_that_go_on_from_them_alone(cameras, tmp_path):
    def fails(settings, *given):
        if settings.method == "mean_teacher":
            raise RunError("Expected finite losses.")
        return FUNDUS.train(settings, *given)

    rows = {
        "source": ROWS["source"],
        "mean_teacher": replace(ROWS["mean_teacher"], seeds=1),
        "after": Row("After", "cpu/mean_teacher", start="mean_teacher"),
        "choice": BestOf("Best", ("source", "mean_teacher"), seeds=1),
        "oracle": ROWS["oracle"],
    }
    failing = with_rows(rows, train=fails)
    with pytest.raises(RunError, match="All but 1 rows.*Mean teacher, seed 0: Expected finite"):
        reproduce(failing, "tiny", tmp_path, CPU, 1, "cpu", tiny(cameras), lambda _: None)
    assert collect(failing, rows, tmp_path)["row"].tolist() == ["source", "choice", "oracle"]


def test_a_start_without_a_selected_checkpoint_ends_its_row_alone(cameras, tmp_path):
    selected = ("start_checkpoint=selected",)  # which source only never has
    rows = {
        "source": replace(ROWS["source"], seeds=1),
        "after": Row("After", "cpu/mean_teacher", selected, start="source"),
        "oracle": replace(ROWS["oracle"], seeds=1),
    }
    missing = with_rows(rows)
    with pytest.raises(RunError, match=r"All but 1 rows.*After, seed 0: Expected .* selected\.pt"):
        reproduce(missing, "tiny", tmp_path, CPU, 1, "cpu", tiny(cameras), lambda _: None)
    assert collect(missing, rows, tmp_path)["row"].tolist() == ["source", "oracle"]


def test_an_unknown_row_names_the_known_ones(tmp_path):
    with pytest.raises(InputError, match=r"rows of source, mean_teacher, oracle. Got: teacher"):
        reproduce(TINY, "tiny", tmp_path, CPU, only=("teacher",))


def write_scores(run: Path, checkpoint: str, mean: float) -> None:
    folder = run / "evaluation" / checkpoint
    folder.mkdir(parents=True)
    dice = {key: {"mean": mean} for key in DICE}
    seed = int(run.name[-1])
    (folder / "summary.json").write_text(json.dumps({"seed": seed, **dice}))


def test_the_markdown_has_mean_spread_and_the_papers_values(tmp_path):
    for seed, mean in ((0, 0.70), (1, 0.72)):
        write_scores(tmp_path / f"source-seed{seed}", "last", mean)
    written = as_markdown(TINY, ROWS, collect(TINY, ROWS, tmp_path))
    line, quoted = written.splitlines()[2:]
    dice = "0.710 ± 0.014 | 0.710 ± 0.014 | 0.710 ± 0.014"
    assert line == f"| Source only | last | 2 | {dice} |  | 0.100, 0.200, 0.150 |"
    assert quoted == "| Of others | quoted |  |  |  |  |  | 0.8 |"


def test_both_checkpoints_of_a_row_are_lines_beside_the_last_of_its_ends(tmp_path):
    for row, scores in (
        ("source", {"last": 0.5}),
        ("mean_teacher", {"last": 0.6, "selected": 0.7}),
        ("oracle", {"last": 0.9}),
    ):
        for checkpoint, mean in scores.items():
            write_scores(tmp_path / f"{row}-seed0", checkpoint, mean)
    written = collect(TINY, ROWS, tmp_path)
    assert list(zip(written["row"], written["checkpoint"], strict=True)) == [
        ("source", "last"),
        ("mean_teacher", "last"),
        ("mean_teacher", "selected"),
        ("oracle", "last"),
    ]
    assert written["gap_closed"].tolist() == pytest.approx([0, 0.25, 0.5, 1])
    lines = as_markdown(TINY, ROWS, written).splitlines()
    assert [line.split(" | ")[:3] for line in lines[3:5]] == [
        ["| Mean teacher", "last", "1"],
        ["| Mean teacher", "selected", "1"],
    ]
    assert "0.700 | 0.700 | 0.700 | 50 %" in lines[4]


def test_a_row_of_quoted_values_cannot_be_asked_for(tmp_path):
    with pytest.raises(InputError, match="rows of source, mean_teacher, oracle. Got: quoted"):
        reproduce(TINY, "tiny", tmp_path, CPU, only=("quoted",))


def test_a_weight_is_a_multiple_of_the_profiles(cameras, tmp_path):
    values = {}
    for profile in ("cpu", "paper"):
        row = FUNDUS.tables(profile)["table4"]["asa_0.2"]
        of = run_settings(FUNDUS, row, 0, tmp_path, tiny(cameras))
        values[profile] = of.adaptation.adversarial_weight
    assert values == {"cpu": pytest.approx(0.002), "paper": pytest.approx(0.0002)}


def test_a_row_of_the_selected_checkpoint_starts_from_it(cameras, tmp_path):
    """As the paper's self-training does; the weights are those of the file, not of the last."""
    given = (*tiny(cameras), "adaptation.teacher.confidence=0")
    rows = {
        "source": ROWS["source"],
        "after": Row("ST", "cpu/asa_st", ("start_checkpoint=selected",), start="source"),
    }
    table = with_rows(rows)
    reproduce(table, "tiny", tmp_path, CPU, 1, "cpu", given, lambda _: None, ("source",))
    source = tmp_path / "source-seed0"
    contents = torch.load(source / "last.pt", weights_only=True)
    for tensor in contents["state"]["segmenter"].values():
        if tensor.is_floating_point():
            tensor.mul_(0.5)
    contents.pop("checksum")
    torch.save(contents | {"checksum": checksum(contents)}, source / "selected.pt")
    reproduce(table, "tiny", tmp_path, CPU, 1, "cpu", given, lambda _: None)
    teacher = load_checkpoint(tmp_path / "after-seed0" / "last.pt").state["teacher"]
    assert_identical(teacher, load_checkpoint(source / "selected.pt").weights)


def test_a_fourier_translated_source_is_written_once_and_trained_on(cameras, tmp_path):
    rows = {name: FUNDUS.tables("cpu")["table3"][name] for name in ("source", "asa_fda")}
    written = []

    def translate(settings, *given):
        written.append(type(settings).__name__)
        return FUNDUS.translate(settings, *given)

    table = with_rows(rows, translate=translate)
    for _ in range(2):
        reproduce(table, "tiny", tmp_path, CPU, 1, "cpu", tiny(cameras), lambda _: None)
        shutil.rmtree(tmp_path / "asa_fda-seed0" / "evaluation", ignore_errors=True)
        (tmp_path / "asa_fda-seed0" / "finished").unlink()  # to be trained to its end again
    assert written == ["FourierSettings"]
    folder = tmp_path / "translated-fourier-seed0"
    assert len(list((folder / "images").iterdir())) == 8
    run = load_checkpoint(tmp_path / "asa_fda-seed0" / "last.pt")
    assert run.settings["data"]["source"] == f"folder:{folder}"
    assert run.settings["data"]["source_annotation"] is None
    of_source = load_checkpoint(tmp_path / "source-seed0" / "last.pt")
    assert run.data["source"] != of_source.data["source"]
    assert run.data["target"]


def test_a_translation_that_was_cut_off_is_written_anew(cameras, tmp_path):
    rows = {name: FUNDUS.tables("cpu")["table3"][name] for name in ("source", "asa_fda")}
    table, folder = with_rows(rows), tmp_path / "translated-fourier-seed0"
    (folder / "images").mkdir(parents=True)
    (folder / "images" / "a0000.png").write_bytes(b"half")
    reproduce(table, "tiny", tmp_path, CPU, 1, "cpu", tiny(cameras), lambda _: None)
    assert len(list((folder / "images").iterdir())) == 8
    assert Image.open(folder / "images" / "a0000.png").size == (64, 64)


@pytest.mark.parametrize("profile", ["cpu", "paper"])
@pytest.mark.parametrize("table", ["table7", "table3", "table4", "table5"])
def test_every_row_has_settings_and_a_start_above_it(table, profile, cameras, tmp_path):
    rows = FUNDUS.tables(profile)[table]
    for place, row in enumerate(rows.values()):
        above = list(rows)[:place]
        if isinstance(row, BestOf):
            assert set(row.stages) <= set(above)
            continue
        assert row.experiment in shipped_experiments("fundus")
        assert row.experiment.startswith(f"{profile}/")
        assert row.start is None or row.start in above
        start = run_settings(FUNDUS, row, 1, tmp_path, tiny(cameras)).start
        assert start in (None, str(tmp_path / f"{row.start}-seed1"))
