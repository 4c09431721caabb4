"""The run that both applications share: what it refuses, writes, resumes, keeps and scores."""

import os
import signal
from dataclasses import replace
from itertools import islice

import pytest
import torch

from fundus_uda.engine import train
from fundus_uda.engine.batches import batch_stream
from fundus_uda.engine.checkpoint import load_checkpoint
from fundus_uda.engine.run_folder import RunFolder
from fundus_uda.engine.selection import SelectionScore
from fundus_uda.engine.teacher import class_thresholds
from fundus_uda.errors import InputError, RunError
from fundus_uda.files import temporary_of
from fundus_uda.stops import Stopped
from tests.fixtures import tiny_engine
from tests.fixtures.runs import assert_identical, power_failure
from tests.fixtures.tiny_engine import CPU, TinyImages, growing_score, prepared, run, state

TEST = ("first test image", "second test image")


def settings(**changes):
    """Of a method that adapts without a discriminator, so that checkpoints are small."""
    return tiny_engine.settings(**{"method": "asc", **changes})


class Scores:
    """An `evaluate` that keeps what it was given."""

    def __init__(self) -> None:
        self.calls = []

    def __call__(self, train_state, test, folder):
        weights = {name: t.clone() for name, t in train_state.segmenter.state_dict().items()}
        self.calls.append((folder, test, train_state.step, weights))
        folder.mkdir(parents=True)
        (folder / "summary.json").write_text("{}")
        # finished only once everything is scored
        assert not RunFolder(folder.parents[1]).is_finished
        return {"folder": folder.name, "step": train_state.step}


def scored_run(of, out, evaluate, continue_run=False, collapsed=False, test=TEST):
    train_state = state(of)
    with growing_score(train_state, collapsed):
        return train.train(
            of, out, CPU, lambda *_: prepared(train_state, of, test), evaluate, continue_run
        )


def test_last_and_selected_are_scored_with_the_weights_that_were_kept(tmp_path, monkeypatch):
    """The second snapshot is the best, the third the last."""
    evaluate, of = Scores(), settings()
    with monkeypatch.context() as patch:
        patch.setattr(train, "competes", lambda score, step, steps: step == 6)
        summaries = scored_run(of, tmp_path / "run", evaluate)
    assert summaries == {
        "selected": {"folder": "selected", "step": 6},
        "last": {"folder": "last", "step": 7},
    }
    assert list(summaries)[-1] == "last"
    folder = RunFolder(tmp_path / "run")
    assert [call[0] for call in evaluate.calls] == [
        folder.evaluation("selected"),
        folder.evaluation("last"),
    ]
    kept = [load_checkpoint(file).weights for file in (folder.selected, folder.last)]
    for (_, test, _, weights), expected in zip(evaluate.calls, kept, strict=True):
        assert test is TEST
        assert_identical(weights, expected)
    assert not torch.equal(kept[0]["4.weight"], kept[1]["4.weight"])
    assert folder.is_finished


def test_a_mean_teacher_is_what_is_scored(tmp_path):
    """A run's network is the teacher, whose weights are not the segmenter's."""
    teacher = {"teacher": {"confidence": 0}}
    evaluate, of = Scores(), settings(method="mean_teacher", adaptation=teacher)
    scored_run(of, tmp_path / "run", evaluate)
    saved = load_checkpoint(tmp_path / "run" / "last.pt").state
    _, _, _, weights = evaluate.calls[-1]
    assert_identical(weights, saved["teacher"])
    assert not torch.equal(weights["4.weight"], saved["segmenter"]["4.weight"])


@pytest.mark.parametrize(("method", "collapsed"), [("source", False), ("asc", True)])
def test_only_the_last_is_scored_where_nothing_was_selected(method, collapsed, tmp_path):
    evaluate = Scores()
    summaries = scored_run(settings(method=method), tmp_path / "run", evaluate, False, collapsed)
    assert summaries == {"last": {"folder": "last", "step": 7}}


def test_without_test_data_nothing_is_scored_and_the_run_is_finished(tmp_path):
    evaluate = Scores()
    assert scored_run(settings(), tmp_path / "run", evaluate, test=None) == {}
    assert evaluate.calls == []
    assert RunFolder(tmp_path / "run").is_finished


def test_a_run_whose_scoring_was_cut_off_is_not_finished_and_goes_on(tmp_path):
    of, folder = settings(), RunFolder(tmp_path / "run")

    def stops(*_):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        scored_run(of, folder.path, stops)
    assert not folder.is_finished
    before = folder.last.read_bytes()
    summaries = scored_run(of, folder.path, Scores(), continue_run=True)
    assert [summary["step"] for summary in summaries.values()] == [7, 7]
    assert folder.is_finished
    assert folder.last.read_bytes() == before  # no step was left to make


def test_a_finished_run_that_is_resumed_is_unfinished_until_it_is_scored_again(tmp_path):
    of = settings()
    scored_run(of, tmp_path / "run", Scores())

    def checks(train_state, test, folder):
        assert not RunFolder(tmp_path / "run").is_finished
        return {}

    scored_run(of, tmp_path / "run", checks, continue_run=True)
    assert RunFolder(tmp_path / "run").is_finished


@pytest.mark.parametrize("killed_by", ["begin", "checkpoint"])
def test_a_run_killed_before_its_first_checkpoint_resumes_from_step_0(
    killed_by, tmp_path, monkeypatch
):
    of = settings()
    whole, parts = state(of), state(of)
    run(whole, of, tmp_path / "whole")
    folder = RunFolder(tmp_path / "parts")

    def stops(*_):
        raise KeyboardInterrupt

    name = "_train" if killed_by == "begin" else "save_checkpoint"
    with monkeypatch.context() as patch:
        patch.setattr(train, name, stops)
        with pytest.raises(KeyboardInterrupt):
            scored_run(of, folder.path, Scores(), test=None)
    assert (folder.path / "config.yaml").is_file()
    assert not folder.is_begun
    if killed_by == "checkpoint":
        temporary_of(folder.last).write_bytes(b"half of it")

    with growing_score(parts):
        train.train(of, folder.path, CPU, lambda *_: prepared(parts, of), Scores(), True)
    assert_identical(whole.state_dict(), parts.state_dict())
    assert (folder.path / "metrics.csv").read_text().startswith("step,segmentation,")
    metrics = [(tmp_path / name / "metrics.csv").read_text() for name in ("whole", "parts")]
    assert metrics[0] == metrics[1]
    assert folder.is_finished


def test_a_killed_run_is_not_resumed_with_other_settings(tmp_path):
    RunFolder(tmp_path / "run").begin(settings(), CPU)
    other = settings(batch_size=3)
    with pytest.raises(
        InputError, match=r"(?s)to have these settings.*batch_size: 3 here, 4 there"
    ):
        scored_run(other, tmp_path / "run", Scores(), continue_run=True)


@pytest.mark.parametrize("continue_run", [False, True])
def test_a_folder_of_something_else_is_refused_before_any_data_are_read(continue_run, tmp_path):
    (tmp_path / "notes.txt").write_text("mine")

    def never(*_):
        raise AssertionError("data were read")

    message = "Got: another folder" if continue_run else "which holds something already"
    with pytest.raises(InputError, match=message):
        train.train(settings(), tmp_path, CPU, never, never, continue_run)
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]


def test_a_run_in_progress_is_refused_without_resume(tmp_path):
    of = settings()
    with power_failure(train, "adaptation_step", at=3):
        run(state(of), of, tmp_path / "run")
    with pytest.raises(InputError, match="new or empty output folder.*--resume"):
        run(state(of), of, tmp_path / "run")


def test_nothing_is_written_where_data_cannot_be_read(tmp_path):
    def refuses(*_):
        raise InputError("Expected a readable image.")

    with pytest.raises(InputError, match="readable image"):
        train.train(settings(), tmp_path / "run", CPU, refuses, Scores())
    assert not (tmp_path / "run").exists()


def test_a_report_on_weights_is_kept(tmp_path):
    of = settings(steps=1)
    run_of_weights = prepared(state(of), of)
    object.__setattr__(run_of_weights, "report", "30 tensors loaded")
    with growing_score(run_of_weights.state):
        train.train(of, tmp_path / "run", CPU, lambda *_: run_of_weights, Scores())
    assert (tmp_path / "run" / "weights.txt").read_text() == "30 tensors loaded\n"


def test_a_teacher_that_labels_no_pixel_ends_the_run_at_its_first_snapshot(tmp_path):
    unsure = {"teacher": {"confidence": 1.0}}
    of = settings(method="self_training", start="runs/asa", adaptation=unsure)
    with pytest.raises(RunError, match="runs/asa is confident of.* Got: none in 3 steps"):
        run(state(of), of, tmp_path / "run")
    assert load_checkpoint(tmp_path / "run" / "last.pt").step == 0


def test_an_interrupt_says_at_which_step_it_came_and_what_is_kept(tmp_path, capsys):
    of = settings()
    with power_failure(train, "adaptation_step", at=5):
        run(state(of), of, tmp_path / "run")
    said = capsys.readouterr().err.splitlines()[-1]
    assert said == (
        f"Stopped at step 5 of 7 of {tmp_path / 'run'}. Its last checkpoint is that of step 3."
    )


@pytest.mark.parametrize(("scores", "selected"), [([0.5, 0.9, 0.8], 6), ([0.5, 0.9, 0.9], 6)])
def test_a_later_snapshot_is_selected_only_if_it_is_better(scores, selected, tmp_path, monkeypatch):
    """Snapshots at steps 3, 6 and 7."""
    of, left = settings(), iter(scores)
    trained = state(of)
    monkeypatch.setattr(train, "selection_score", lambda *_: SelectionScore(next(left), 2.0, False))
    train.train(of, tmp_path / "run", CPU, lambda *_: prepared(trained, of), Scores())
    assert (trained.selected_step, trained.selected_score) == (selected, 0.9)
    kept = load_checkpoint(tmp_path / "run" / "selected.pt")
    assert (kept.step, kept.classes, kept.data) == (selected, 3, {"source": "s"})
    rows = (tmp_path / "run" / "snapshots.csv").read_text().splitlines()
    assert rows == [
        "step,mean_affinity,effective_classes,collapsed",
        *(f"{step},{score},2.0,False" for step, score in zip((3, 6, 7), scores, strict=True)),
    ]


def test_the_teacher_is_scored_with_the_neighbours_of_the_settings(tmp_path, monkeypatch):
    of = settings(
        method="mean_teacher",
        adaptation={"teacher": {"confidence": 0}},
        affinity={"neighbors": 4},
        steps=1,
    )
    trained, asked = state(of), []
    trained.label_shares = torch.tensor([0.5, 0.25, 0.25])

    def score(*arguments):
        asked.append(arguments)
        return SelectionScore(0.5, 2.0, False)

    monkeypatch.setattr(train, "selection_score", score)
    train.train(of, tmp_path / "run", CPU, lambda *_: prepared(trained, of), Scores())
    assert asked == [(trained.teacher, [], trained.label_shares, 4)]


class OneBatch:
    """All target images as one batch, counted each time that they are asked for."""

    def __init__(self) -> None:
        self.asked = 0

    def __call__(self):
        self.asked += 1
        images = tiny_engine.TinyImages(3, shift=0.5)
        return [torch.stack([images[tiny_engine.SampleKey(i, i)]["image"] for i in range(3)])]


def test_class_balanced_thresholds_are_those_of_the_first_network_and_are_kept(tmp_path):
    adaptation = {"teacher": {"keep_fraction": 0.3}}
    of = settings(method="cbst", adaptation=adaptation, start="runs/source")
    whole, parts, images = state(of), state(of), OneBatch()
    expected = class_thresholds(whole.teacher, images(), 3, 0.3)
    assert expected.min() < 1

    def run_of(train_state, out, continue_run=False):
        made = prepared(train_state, of)
        object.__setattr__(made, "selection_images", images)
        with growing_score(train_state):
            train.train(of, tmp_path / out, CPU, lambda *_: made, Scores(), continue_run)

    run_of(whole, "whole")
    assert images.asked == 1 + 1 + 3  # here, for the thresholds, at each of three snapshots
    assert torch.equal(whole.class_thresholds, expected)
    saved = load_checkpoint(tmp_path / "whole" / "last.pt").state
    assert torch.equal(saved["class_thresholds"], expected)

    with power_failure(train, "adaptation_step", at=3):
        run_of(parts, "parts")
    resumed, images.asked = state(of), 0
    run_of(resumed, "parts", continue_run=True)
    assert images.asked == 2  # at two snapshots: thresholds come from the checkpoint
    assert_identical(whole.state_dict(), resumed.state_dict())


def test_a_teacher_that_labelled_pixels_once_may_be_unsure_later(tmp_path, monkeypatch):
    of = settings(method="self_training", start="runs/asa")
    fractions = {1: 0.5}

    def step(train_state, *_):
        train_state.step += 1
        return {"pseudo_label_fraction": fractions.get(train_state.step, 0.0)}

    with monkeypatch.context() as patch:
        patch.setattr(train, "adaptation_step", step)
        run(state(of), of, tmp_path / "run")
        # and a run that goes on has had its first snapshot
        with power_failure(train, "adaptation_step", at=3):
            run(state(of), of, tmp_path / "parts")
        fractions.clear()
        resumed = state(of)
        resumed.step = 3
        run(resumed, of, tmp_path / "parts")
    assert RunFolder(tmp_path / "parts").is_finished


def test_a_run_that_is_killed_at_once_can_be_resumed(tmp_path):
    of = settings()
    with power_failure(train, "adaptation_step", at=0):
        run(state(of), of, tmp_path / "run")
    kept = load_checkpoint(tmp_path / "run" / "last.pt")
    assert (kept.step, kept.classes, kept.data) == (0, 3, {"source": "s"})
    assert not (tmp_path / "run" / "selected.pt").exists()


def class_balanced(out, train_state, of, continue_run=False):
    """Train on tiny data whose whole target is shown to the teacher; return the calls for it."""
    shown = []

    def whole_target():
        target = TinyImages(3, shift=0.5, labelled=False)
        stream = batch_stream(
            target, batch_size=3, seed=0, domain="target", start=0, workers=0, pin_memory=False
        )
        shown.append(train_state.step)
        return (batch.image for batch in islice(stream, 1))

    def prepare(*_):
        return replace(prepared(train_state, of), selection_images=whole_target)

    with growing_score(train_state):
        train.train(of, out, CPU, prepare, Scores(), continue_run)
    return shown


def test_class_thresholds_are_found_once_kept_and_the_same_after_a_resume(tmp_path, monkeypatch):
    of = settings(method="cbst", start="s", adaptation={"teacher": {"keep_fraction": 0.5}})
    found, by_hand = [], []
    find = train.class_thresholds

    def counted(teacher, images, classes, keep_fraction):
        found.append((classes, keep_fraction))
        thresholds = find(teacher, images, classes, keep_fraction)
        by_hand.append(thresholds)
        return thresholds

    monkeypatch.setattr(train, "class_thresholds", counted)
    whole = state(of)
    shown = class_balanced(tmp_path / "whole", whole, of)
    assert found == [(3, 0.5)]
    assert shown[0] == 0  # by the teacher as it is before the first step
    assert ((by_hand[0] > 0) & (by_hand[0] <= 1)).all()
    assert (by_hand[0] < 1).any()
    assert torch.equal(whole.class_thresholds, by_hand[0])

    parts = state(of)
    with power_failure(train, "adaptation_step", at=4):
        class_balanced(tmp_path / "parts", parts, of)
    kept = load_checkpoint(tmp_path / "parts" / "last.pt")
    assert kept.step == 3
    assert torch.equal(kept.state["class_thresholds"], by_hand[0])
    resumed = state(of)
    class_balanced(tmp_path / "parts", resumed, of, continue_run=True)
    assert len(found) == 2  # once per run, none on resume
    assert_identical(whole.state_dict(), resumed.state_dict())


@pytest.mark.parametrize("method", ["asc", "mean_teacher"])
def test_other_methods_have_no_class_thresholds(method, tmp_path):
    of = settings(method=method, adaptation={"teacher": {"confidence": 0}})
    trained = state(of)
    run(trained, of, tmp_path / "run")
    assert load_checkpoint(tmp_path / "run" / "last.pt").state["class_thresholds"] is None


@pytest.mark.usefixtures("signals")
@pytest.mark.parametrize("at", [1, 4])
def test_a_teacher_that_labelled_nothing_yet_is_saved_by_no_stop(at, tmp_path, monkeypatch):
    """An unbroken run ends at its first snapshot then, and so must one that goes on."""
    of = settings(method="self_training", start="runs/asa")
    trained = state(of)

    def step(train_state, *_):
        train_state.step += 1
        if train_state.step == at:
            os.kill(os.getpid(), signal.SIGTERM)
        return {"pseudo_label_fraction": float(train_state.step == 2)}

    monkeypatch.setattr(train, "adaptation_step", step)
    with pytest.raises(Stopped):
        run(trained, of, tmp_path / "run")
    assert load_checkpoint(tmp_path / "run" / "last.pt").step == (0 if at == 1 else 4)


def test_a_run_that_is_resumed_from_step_0_estimates_nothing_twice(tmp_path):
    """Its table of labels would tell of the first estimate twice."""
    of = settings(start="runs/a", steps=3, snapshot_every=3)

    class Match:
        def estimate(self, network):
            return torch.ones(2)

        def show(self, target_labels):
            return {"share": float(target_labels.sum())}

    def begin_or_go_on(goes_on):
        train_state = state(of)
        with growing_score(train_state):
            train.train(
                of,
                tmp_path / "run",
                CPU,
                lambda *_: replace(prepared(train_state, of), match=Match()),
                None,
                continue_run=goes_on,
            )

    with power_failure(train, "adaptation_step", at=0):
        begin_or_go_on(goes_on=False)
    begin_or_go_on(goes_on=True)
    assert (tmp_path / "run" / "label_match.csv").read_text() == "step,share\n0,2.0\n"
