"""The composition root, on embedded photographs with the real network."""

import csv
import json
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
import torch
from PIL import Image

from fundus_uda.engine import train as engine
from fundus_uda.engine.checkpoint import load_checkpoint
from fundus_uda.errors import InputError, RunError
from fundus_uda.segmentation.model import load_model
from fundus_uda.segmentation.training import train
from tests.fixtures.runs import assert_identical, power_failure
from tests.fixtures.small_run import small_settings

CPU = torch.device("cpu")


def test_a_run_leaves_checkpoints_logs_and_scores(cameras, tmp_path):
    settings = small_settings(cameras, "method=asa", f"data.test=folder:{cameras / 'b'}")
    summaries = train(settings, tmp_path / "run", CPU)
    run = tmp_path / "run"
    steps = [row["step"] for row in csv.DictReader((run / "metrics.csv").open())]
    assert steps == ["1", "2", "3", "4", "5", "6"]
    assert [r["step"] for r in csv.DictReader((run / "snapshots.csv").open())] == ["3", "6"]
    checkpoint = load_checkpoint(run / "last.pt")
    assert (checkpoint.step, checkpoint.classes) == (6, 3)
    has_selected = (run / "selected.pt").is_file()
    assert list(summaries) == [*["selected"] * has_selected, "last"]
    for name, summary in summaries.items():
        stored = json.loads((run / "evaluation" / name / "summary.json").read_text())
        assert stored == summary
        assert {"mean", "std", "ci95", "n"} == stored["dice_cup"].keys()
        rows = list(csv.DictReader((run / "evaluation" / name / "dice.csv").open()))
        assert len(rows) == stored["dice_disc"]["n"] == 6
        mean = sum(float(row["dice_mean"]) for row in rows) / 6
        assert mean == pytest.approx(stored["dice_mean"]["mean"])


def test_target_masks_are_never_read(cameras, tmp_path):
    """Adaptation gives the same with no target masks, and with broken ones."""
    without, broken = tmp_path / "without", tmp_path / "broken"
    shutil.copytree(cameras / "b" / "images", without / "images")
    shutil.copytree(cameras / "b", broken)
    for mask in (broken / "masks").iterdir():
        mask.write_bytes(b"junk")
    results = []
    for target in (cameras / "b", without, broken):
        out = tmp_path / f"run_{len(results)}"
        settings = small_settings(
            cameras, "method=asa_asc", f"data.target=folder:{target}", "steps=2", "snapshot_every=2"
        )
        train(settings, out, CPU)
        results.append(load_checkpoint(out / "last.pt").state)
    assert_identical(results[0], results[1])
    assert_identical(results[0], results[2])


def test_source_only_reads_no_target_at_all(cameras, tmp_path):
    settings = small_settings(
        cameras, "method=source", "data.target=folder:/nowhere", "steps=1", "snapshot_every=1"
    )
    train(settings, tmp_path / "run", CPU)
    assert not (tmp_path / "run" / "selected.pt").exists()


def test_the_oracle_trains_on_the_target_labels(cameras, tmp_path):
    settings = small_settings(
        cameras, "method=oracle", "data.source=folder:/nowhere", "steps=1", "snapshot_every=1"
    )
    train(settings, tmp_path / "run", CPU)
    oracle = load_checkpoint(tmp_path / "run" / "last.pt")
    swapped = small_settings(
        cameras, "method=source", f"data.source=folder:{cameras / 'b'}", "steps=1",
        "snapshot_every=1",
    )  # fmt: skip
    train(swapped, tmp_path / "swapped", CPU)
    assert oracle.data["source"] == load_checkpoint(tmp_path / "swapped" / "last.pt").data["source"]


@pytest.mark.slow
def test_seven_steps_equal_three_a_fresh_process_and_four(cameras, tmp_path):
    """Bit for bit, for ASA, with augmentation, dropout and momentum; as a user would do it."""
    code = """
        import sys
        from pathlib import Path
        import torch
        from fundus_uda.engine import train as engine
        from fundus_uda.segmentation.training import train
        from tests.fixtures.small_run import small_settings

        cameras, out, stop, resume = sys.argv[1:]
        step = engine.adaptation_step

        def step_or_stop(state, *arguments):
            if state.step == int(stop):
                sys.exit(9)
            return step(state, *arguments)

        engine.adaptation_step = step_or_stop
        settings = small_settings(Path(cameras), "method=asa", "steps=7", "snapshot_every=3")
        train(settings, Path(out), torch.device("cpu"), continue_run=resume == "resume")
    """

    def process(out, stop, resume):
        arguments = [str(cameras), str(tmp_path / out), str(stop), resume]
        return subprocess.run(
            [sys.executable, "-c", textwrap.dedent(code), *arguments],
            cwd=Path(__file__).parents[2],
            check=False,
        ).returncode

    assert process("whole", -1, "new") == 0
    assert process("parts", 3, "new") == 9
    assert load_checkpoint(tmp_path / "parts" / "last.pt").step == 3
    assert process("parts", -1, "resume") == 0
    whole, parts = (load_checkpoint(tmp_path / name / "last.pt") for name in ("whole", "parts"))
    assert whole.step == parts.step == 7
    assert_identical(whole.state, parts.state)
    for log in ("metrics.csv", "snapshots.csv"):
        assert (tmp_path / "whole" / log).read_text() == (tmp_path / "parts" / log).read_text()


def test_bad_input_leaves_no_run_folder(cameras, tmp_path):
    shutil.copytree(cameras / "a", tmp_path / "a")
    (tmp_path / "a" / "images" / "a0003.png").write_bytes(b"junk")
    settings = small_settings(cameras, f"data.source=folder:{tmp_path / 'a'}")
    with pytest.raises(InputError, match=r"readable image at .*a0003\.png"):
        train(settings, tmp_path / "run", CPU)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["data.target="], r"Expected data\.target for the method asa"),
        (["data.target=folder:/nowhere"], "Expected folder data at /nowhere"),
        (["data.test=folder:{images}"], "Expected a mask for each of the 6 photographs"),
    ],
)
def test_missing_data_is_named_before_training(overrides, message, cameras, tmp_path):
    overrides = [o.format(images=cameras / "b" / "images") for o in overrides]
    with pytest.raises(InputError, match=message):
        train(small_settings(cameras, "method=asa", *overrides), tmp_path / "run", CPU)


def test_a_folder_with_another_run_is_left_alone(cameras, tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "notes.txt").write_text("mine")
    with pytest.raises(InputError, match="new or empty output folder"):
        train(small_settings(cameras, "method=source"), tmp_path / "run", CPU)
    assert [p.name for p in (tmp_path / "run").iterdir()] == ["notes.txt"]


def test_another_mask_of_the_source_is_another_data_list(cameras, tmp_path):
    shutil.copytree(cameras / "a", tmp_path / "a")
    source = f"data.source=folder:{tmp_path / 'a'}"
    settings = small_settings(cameras, "method=source", source, "steps=1", "snapshot_every=1")
    train(settings, tmp_path / "run", CPU)
    shutil.copy(cameras / "a" / "masks" / "a0000.png", tmp_path / "a" / "masks" / "a0001.png")
    with pytest.raises(InputError, match="fingerprint of source: .* here, .* there"):
        train(settings, tmp_path / "run", CPU, continue_run=True)


def test_a_run_can_be_resumed_from_its_very_start(cameras, tmp_path):
    settings = small_settings(cameras, "method=source", "steps=1", "snapshot_every=1")
    with power_failure(engine, "adaptation_step", at=0):
        train(settings, tmp_path / "run", CPU)
    train(settings, tmp_path / "run", CPU, continue_run=True)
    assert load_checkpoint(tmp_path / "run" / "last.pt").step == 1


def test_resume_without_a_run(cameras, tmp_path):
    with pytest.raises(InputError, match="Expected a checkpoint to resume"):
        train(small_settings(cameras), tmp_path / "run", CPU, continue_run=True)


@pytest.fixture(scope="module")
def start(cameras, tmp_path_factory) -> Path:
    """A source-only run."""
    run = tmp_path_factory.mktemp("start") / "run"
    train(small_settings(cameras, "method=source", "data.target="), run, CPU)
    return run


SURE = "adaptation.teacher.confidence=0"


def test_a_teacher_that_is_sure_of_nothing_ends_the_run(start, cameras, tmp_path):
    unsure = ["method=self_training", "adaptation.teacher.confidence=1"]
    settings = small_settings(cameras, *unsure, f"start={start}", "steps=2", "snapshot_every=1")
    with pytest.raises(RunError, match=f"network of {start} is confident of.*none in 1 steps"):
        train(settings, tmp_path / "run", CPU)


@pytest.mark.parametrize("method", ["mean_teacher", "self_training", "asc"])
def test_adaptation_without_any_source_image(method, start, cameras, tmp_path):
    settings = small_settings(
        cameras, f"method={method}", "data.source=null", f"start={start}", "steps=2", SURE
    )
    train(settings, tmp_path / "run", CPU)
    rows = list(csv.DictReader((tmp_path / "run" / "metrics.csv").open()))
    assert "segmentation" not in rows[0]
    first, last = (load_checkpoint(run / "last.pt").weights for run in (start, tmp_path / "run"))
    assert any(not torch.equal(first[name], last[name]) for name in first)


def test_self_training_reads_no_source_and_its_teacher_stays(start, cameras, tmp_path):
    settings = small_settings(
        cameras,
        "method=self_training",
        "data.source=folder:gone",
        f"start={start}",
        "steps=2",
        SURE,
    )
    train(settings, tmp_path / "run", CPU)
    teacher = load_checkpoint(tmp_path / "run" / "last.pt").state["teacher"]
    assert_identical(teacher, load_checkpoint(start / "last.pt").weights)


def test_a_mean_teacher_resumes_bit_for_bit_and_is_what_the_run_gives(start, cameras, tmp_path):
    steps = ["steps=4", "snapshot_every=2"]
    settings = small_settings(cameras, "method=mean_teacher", f"start={start}", SURE, *steps)
    train(settings, tmp_path / "whole", CPU)
    broken = tmp_path / "broken"
    with power_failure(engine, "adaptation_step", at=2):
        train(settings, broken, CPU)
    train(settings, broken, CPU, continue_run=True)
    one, other = (load_checkpoint(run / "last.pt") for run in (tmp_path / "whole", broken))
    assert_identical(one.state, other.state)
    assert_identical(one.weights, one.state["teacher"])
    model = load_model(tmp_path / "whole", CPU)
    assert_identical(model.network.state_dict(), one.state["teacher"])


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["method=asa", "data.source=null"], "method asa needs data.source"),
        (["method=mean_teacher"], "start must name .* with method mean_teacher"),
        (["method=mean_teacher", "start=gone"], "Expected a checkpoint at gone"),
        (["method=asc", "data.source=null"], "start must name .* asc and no source images"),
    ],
)
def test_what_a_run_must_start_from(overrides, message, cameras, tmp_path):
    with pytest.raises(InputError, match=message):
        train(small_settings(cameras, *overrides), tmp_path / "run", CPU)
    assert not (tmp_path / "run").exists()


def test_a_start_of_another_network_is_refused(start, cameras, tmp_path):
    other = ["network.output_stride=8", f"start={start}"]
    with pytest.raises(InputError, match=r"Got:\n  network.output_stride: 8 here, 16 there\n"):
        train(small_settings(cameras, "method=source", *other), tmp_path / "run", CPU)


def test_following_a_run_changes_nothing_but_its_pictures(cameras, tmp_path):
    steps = ["steps=2", "snapshot_every=1"]
    for name, follow in (("plain", "follow=[]"), ("followed", "follow=[progress,panels]")):
        settings = small_settings(cameras, "method=asa", *steps, follow)
        train(settings, tmp_path / name, CPU)
    states = [load_checkpoint(tmp_path / run / "last.pt").state for run in ("plain", "followed")]
    assert_identical(*states)
    assert (tmp_path / "followed" / "progress.png").is_file()
    pictures = sorted((tmp_path / "followed" / "panels").iterdir())
    assert [path.name for path in pictures] == ["step_000001.png", "step_000002.png"]
    with Image.open(pictures[0]) as picture:
        assert picture.size == (2 * 64, 64)  # a batch of two
    settings = small_settings(cameras, "method=source", "follow=[panels]")
    with pytest.raises(InputError, match="for follow=panels. Got: one without a target"):
        train(settings, tmp_path / "source", CPU)
    assert not (tmp_path / "source").exists()
