"""What the loop asks for, in which order, and what it records."""

import os
import signal

import pytest
import torch

from fundus_uda.engine import loop
from fundus_uda.engine.batches import Batch
from fundus_uda.engine.run_folder import RunFolder
from fundus_uda.errors import RunError
from fundus_uda.stops import SIGNALS, Stopped
from tests.fixtures.tiny_engine import TinyImages, settings, state

pytestmark = pytest.mark.usefixtures("signals")


def never():
    raise AssertionError("this must not be called")


@pytest.mark.parametrize(
    ("workers", "device", "processes"),
    [(3, "cpu", 3), (None, "cpu", 0), (None, "cuda", 2), (0, "cuda", 0)],
)
def test_each_domain_is_streamed_as_the_settings_say(
    workers, device, processes, tmp_path, monkeypatch
):
    of = settings(method="source", seed=9, batch_size=2, steps=4, shuffle=False, workers=workers)
    source, target = TinyImages(5), TinyImages(3, labelled=False)
    asked, moved = [], []

    class Moves(Batch):
        def to(self, device, memory_format):
            moved.append((device, memory_format))
            return self

    def stream(dataset, **options):
        asked.append((dataset, options))
        while True:
            yield Moves(torch.zeros(1))

    monkeypatch.setattr(loop, "batch_stream", stream)
    trained = state(of)
    trained.step, trained.device = 3, torch.device(device)

    def update(source_batch, target_batch):
        trained.step += 1
        return {"loss": 0.5}

    loop.train_loop(trained, source, target, of, RunFolder(tmp_path), "x", update, print, never)
    options = {"batch_size": 2, "seed": 9, "start": 3, "shuffle": False, "workers": processes}
    options["pin_memory"] = device == "cuda"
    assert asked == [
        (source, {**options, "domain": "source"}),
        (target, {**options, "domain": "target"}),
    ]
    assert moved == [(trained.device, torch.contiguous_format)] * 2


def test_steps_are_logged_and_snapshots_taken_every_few_and_at_the_end(tmp_path):
    of = settings(method="source", steps=7, snapshot_every=3)
    trained, events = state(of), []

    def update(source_batch, target_batch):
        assert source_batch.image.shape == (4, 3, 32, 32)
        assert target_batch is None
        trained.step += 1
        events.append(trained.step)
        return {"loss": trained.step / 2}

    folder = RunFolder(tmp_path)
    loop.train_loop(
        trained, TinyImages(5), None, of, folder, "x", update, lambda: events.append("snapshot"),
        never,
    )  # fmt: skip
    assert events == [1, 2, 3, "snapshot", 4, 5, 6, "snapshot", 7, "snapshot"]
    rows = (tmp_path / "metrics.csv").read_text().splitlines()
    assert rows == ["step,loss", *(f"{step},{step / 2}" for step in range(1, 8))]
    loop.train_loop(trained, TinyImages(5), None, of, folder, "x", update, never, never)
    assert events[-1] == "snapshot"  # nothing is left to do


def test_memory_is_kept_on_a_cpu(tmp_path, monkeypatch):
    of, called = settings(method="source", steps=1), []
    monkeypatch.setattr(loop, "retain_freed_memory", lambda: called.append(True))
    trained = state(of)
    trained.step = 1
    loop.train_loop(trained, None, None, of, RunFolder(tmp_path), "x", None, None, None)
    assert called == [True]


def test_batches_that_were_loaded_ahead_of_a_change_are_dropped(tmp_path, monkeypatch):
    of = settings(method="source", steps=4, snapshot_every=2)
    trained, starts = state(of), []
    stream = loop.batch_stream

    def opened(dataset, **options):
        starts.append((options["domain"], options["start"]))
        return stream(dataset, **options)

    monkeypatch.setattr(loop, "batch_stream", opened)

    def update(*_):
        trained.step += 1
        return {"loss": 0.5}

    def snapshot():
        return trained.step == 2

    both = (TinyImages(5), TinyImages(3, labelled=False))
    loop.train_loop(trained, *both, of, RunFolder(tmp_path), "x", update, snapshot, never)
    assert starts == [("source", 0), ("target", 0), ("source", 2)]


def stopped_at(steps, folder, number=signal.SIGTERM, saves=True):
    """What a loop of 7 steps, with a snapshot every 3, does when signals come in these steps."""
    of = settings(method="source", steps=7, snapshot_every=3)
    trained, events = state(of), []

    def update(source_batch, target_batch):
        trained.step += 1
        if trained.step in steps:
            os.kill(os.getpid(), number)
        events.append(trained.step)
        return {"loss": 0.5}

    def save():
        events.append("save")
        return saves

    with pytest.raises(Stopped) as stopped:
        loop.train_loop(
            trained, TinyImages(5), None, of, RunFolder(folder), "x", update,
            lambda: events.append("snapshot"), save,
        )  # fmt: skip
    assert stopped.value.number == number
    rows = (folder / "metrics.csv").read_text().splitlines()
    assert len(rows) == 1 + trained.step
    return events


@pytest.mark.parametrize("number", SIGNALS)
def test_a_signal_lets_the_step_end_and_saves_it(number, tmp_path, capsys):
    assert stopped_at([4], tmp_path, number) == [1, 2, 3, "snapshot", 4, "save"]
    said = capsys.readouterr().err.splitlines()[-1]
    assert said.startswith("Stopped at step 4 of 7 of ")
    assert said.endswith("Its last checkpoint is that of step 4.")


@pytest.mark.parametrize("step", [3, 7])
def test_a_snapshot_that_is_due_is_the_checkpoint_of_a_stop(step, tmp_path):
    events = stopped_at([step], tmp_path)
    assert events[-2:] == [step, "snapshot"]
    assert "save" not in events


def test_what_could_not_be_saved_is_not_said_to_be(tmp_path, capsys):
    assert stopped_at([5], tmp_path, saves=False)[-2:] == [5, "save"]
    assert capsys.readouterr().err.splitlines()[-1].endswith("is that of step 3.")


def test_the_streams_are_closed_however_the_loop_ends(tmp_path, monkeypatch):
    of, closed = settings(method="source", steps=1), []

    def stream(dataset, **options):
        try:
            while True:
                yield Batch(torch.zeros(1))
        finally:
            closed.append(options["domain"])

    def fails(*_):
        raise ZeroDivisionError

    monkeypatch.setattr(loop, "batch_stream", stream)
    both = (TinyImages(5), TinyImages(3))
    with pytest.raises(ZeroDivisionError):
        loop.train_loop(state(of), *both, of, RunFolder(tmp_path), "x", fails, never, never)
    assert closed == ["source", "target"]


def test_the_images_of_a_step_that_fails_are_named(tmp_path, capsys):
    of, trained = settings(method="asa", steps=3, batch_size=2, shuffle=False), state(settings())
    trained.step = 1

    def diverges(*_):
        raise RunError("Expected finite losses.")

    both = (TinyImages(5), TinyImages(3, labelled=False))
    with pytest.raises(RunError):
        loop.train_loop(trained, *both, of, RunFolder(tmp_path), "x", diverges, never, never)
    assert capsys.readouterr().err.splitlines() == [
        "The source images of step 1: source2, source3.",
        "The target images of step 1: target2, target0.",
    ]
