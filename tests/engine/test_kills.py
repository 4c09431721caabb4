"""Runs that are killed at any access to their folder, and resumed: they equal an unbroken one.

The short share runs always; all moments, and several kills in a row, are marked nightly.
"""

import multiprocessing
import os
import signal
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
import torch

import roadscene.training
from fundus_uda.data.synthetic import write_camera
from fundus_uda.engine import train
from fundus_uda.engine.checkpoint import load_checkpoint
from fundus_uda.engine.run_folder import RunFolder
from fundus_uda.recipe import adapt as recipe
from fundus_uda.stops import Stopped, reacting, stop
from fundus_uda.translation.stage import train_translation
from tests.fixtures import tiny_engine, tiny_streets, tiny_translation
from tests.fixtures.runs import assert_identical
from tests.fixtures.tiny_engine import CPU, growing_score, prepared, state

FORK = multiprocessing.get_context("fork")
pytestmark = pytest.mark.usefixtures("signals")
ACCESSES = ("open", "os.rename", "os.remove", "os.link", "os.mkdir", "os.rmdir")
STOPPED = 70
"""Exit code of a run that a signal stopped in order."""
SAME_BYTES = (".csv", ".png", ".jpg", "finished")
"""Ends of the names of files that tell neither time nor place."""
Work = Callable[[Path], object]
"""Function that begins a run in a folder, or goes on with it."""


def tiny(_: Path, **changes) -> Work:
    """A run of seven steps, with a snapshot every three."""

    def work(folder: Path) -> None:
        of = tiny_engine.settings(**changes)
        trained = state(of)
        with growing_score(trained):
            train.train(of, folder, CPU, lambda *_: prepared(trained, of), None, folder.exists())

    return work


def translation(_: Path) -> Work:
    def work(folder: Path) -> None:
        run, of = RunFolder(folder), tiny_translation.settings()
        run.require_ready(continue_run=folder.exists())
        domains = (tiny_translation.domain(n, 3, light) for n, light in (("s", 0), ("t", 90)))
        torch.manual_seed(0)
        train_translation(*domains, tiny_translation.segmenter(), of, run, CPU)
        run.finish()

    return work


def streets(data: Path) -> Work:
    settings = tiny_streets.settings(tiny_streets.streets(data))
    return lambda folder: roadscene.training.train(settings, folder, CPU, folder.exists())


def adaptation(data: Path) -> Work:
    """All three stages of the default recipe, one step each, and the outlines before and after."""
    for camera in "ab":
        write_camera(data / camera, camera, count=2, size=64, first_seed=0)
    small = ("data.size=64", "batch_size=2", "steps=1", "snapshot_every=1", "affinity.stride=1")

    def work(folder: Path) -> None:
        target, source = [str(data / "b" / "images")], f"folder:{data / 'a'}"
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(recipe, "reason_to_reject", lambda *_: "")  # one step improves nothing
            goes_on = folder.exists()
            recipe.adapt(target, folder, CPU, source=source, overrides=small, continue_run=goes_on)

    return work


teacher = {"teacher": {"confidence": 0.2}}
RUNS: dict[str, Callable[[Path], Work]] = {
    "asa": tiny,
    "mean_teacher": partial(tiny, method="mean_teacher", start="runs/a", adaptation=teacher),
    "cycada": translation,
    "roadscene": streets,
    "adapt": adaptation,
}


def in_a_child(work: Work, folder: Path, at: int | None, number: int) -> int:
    """Work in a child process, which gets a signal at its access `at` to the folder, if any.

    Returns:
        Exit code: 0 done, STOPPED, or minus the signal that killed it.
    """

    def child() -> None:
        torch.set_num_threads(1)  # a fork has none of its parent's threads
        accesses = 0

        def count(event: str, arguments: tuple) -> None:
            nonlocal accesses
            inside = event in ACCESSES and str(arguments[0]).startswith(str(folder))
            accesses += inside
            if inside and accesses == at:
                os.kill(os.getpid(), number)

        sys.addaudithook(count)
        try:
            with reacting(stop):  # as a command does
                work(folder)
        except Stopped:
            os._exit(STOPPED)
        (folder.parent / "accesses").write_text(str(accesses))

    process = FORK.Process(target=child)
    process.start()
    process.join()
    assert process.exitcode is not None
    return process.exitcode


@pytest.fixture(scope="module", params=RUNS)
def unbroken(request, tmp_path_factory) -> tuple[Work, Path, int]:
    """A run, the folder of an unbroken one, and how often it accessed that."""
    root = tmp_path_factory.mktemp(request.param)
    work = RUNS[request.param](root / "data")
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    work(root / "warm")  # what it imports, children have
    torch.set_num_threads(threads)
    assert in_a_child(work, root / "run", None, 0) == 0
    return work, root / "run", int((root / "accesses").read_text())


def assert_same(folder: Path, whole: Path) -> None:
    """The same files; every tensor of every checkpoint, and every byte of tables and pictures."""
    one, other = (
        {path.relative_to(root) for path in root.rglob("*") if path.name != "last.previous.pt"}
        for root in (folder, whole)  # a stop may have added the one before the last
    )
    assert one == other
    for name in sorted(one):
        if name.suffix == ".pt":
            assert_identical(*(load_checkpoint(root / name).state for root in (folder, whole)))
        elif name.name.endswith(SAME_BYTES):
            assert (folder / name).read_bytes() == (whole / name).read_bytes(), name


def check(unbroken, folder: Path, moments: list[tuple[int, int]]) -> None:
    """Kill a run at each moment in turn, let it end, and compare it with the unbroken one."""
    work, whole, _ = unbroken
    for at, number in moments:
        code = in_a_child(work, folder, at, number)
        assert code in (0, -signal.SIGKILL if number == signal.SIGKILL else STOPPED), (at, code)
    assert in_a_child(work, folder, None, 0) == 0
    assert_same(folder, whole)


def spread(accesses: int, count: int) -> list[int]:
    """At most `count` accesses, from the first to the last."""
    return sorted({1 + (accesses - 1) * number // (count - 1) for number in range(count)})


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM], ids=["kill", "term"])
def test_a_run_killed_at_a_few_moments_equals_an_unbroken_one(unbroken, number, tmp_path):
    for at in spread(unbroken[2], 3):
        check(unbroken, tmp_path / str(at), [(at, number)])


@pytest.mark.slow
@pytest.mark.nightly
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM], ids=["kill", "term"])
def test_a_run_killed_at_any_moment_equals_an_unbroken_one(unbroken, number, tmp_path):
    """At every access of a small run, and at 25 of a large one."""
    accesses = unbroken[2]
    for at in spread(accesses, accesses if accesses < 50 else 25):
        check(unbroken, tmp_path / str(at), [(at, number)])


@pytest.mark.slow
@pytest.mark.nightly
def test_a_run_killed_again_and_again_equals_an_unbroken_one(unbroken, tmp_path):
    numbers = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT, signal.SIGUSR1)
    for at in spread(unbroken[2], 6):
        moments = [(max(1, at - 7 * index), number) for index, number in enumerate(numbers)]
        check(unbroken, tmp_path / str(at), moments)
