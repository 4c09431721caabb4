"""Runs that are killed at any access to their folder, and resumed: they equal an unbroken one.

The short share runs always; all moments, and pairs of kills, are marked nightly.
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

from fundus_uda.engine import train
from fundus_uda.engine.checkpoint import load_checkpoint
from fundus_uda.engine.run_folder import RunFolder
from fundus_uda.stops import Stopped
from fundus_uda.translation.stage import train_translation
from tests.fixtures import tiny_engine, tiny_translation
from tests.fixtures.runs import assert_identical
from tests.fixtures.tiny_engine import CPU, growing_score, prepared, state

FORK = multiprocessing.get_context("fork")
pytestmark = pytest.mark.usefixtures("signals")
ACCESSES = ("open", "os.rename", "os.remove", "os.link", "os.mkdir", "os.rmdir")
STOPPED = 70
"""Exit code of a run that a signal stopped in order."""


def adapt(folder: Path, **changes) -> None:
    """Begin a run of seven steps, with a snapshot every three, or go on with it."""
    of = tiny_engine.settings(**changes)
    trained = state(of)
    with growing_score(trained):
        train.train(
            of, folder, CPU, lambda *_: prepared(trained, of), None, continue_run=folder.exists()
        )


def translate(folder: Path) -> None:
    """Begin the training of a translation, or go on with it."""
    run, of = RunFolder(folder), tiny_translation.settings()
    run.require_ready(continue_run=folder.exists())
    domains = (tiny_translation.domain(name, 3, light) for name, light in (("s", 0), ("t", 90)))
    torch.manual_seed(0)
    train_translation(*domains, tiny_translation.segmenter(), of, run, CPU)
    run.finish()


teacher = {"teacher": {"confidence": 0.2}}
RUNS: dict[str, Callable[[Path], None]] = {
    "asa": adapt,
    "mean_teacher": partial(adapt, method="mean_teacher", start="runs/a", adaptation=teacher),
    "cycada": translate,
}


def in_a_child(work: Callable[[Path], None], folder: Path, at: int | None, number: int) -> int:
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
def unbroken(request, tmp_path_factory) -> tuple[Callable[[Path], None], RunFolder, int]:
    """A run, what an unbroken one wrote, and how often it accessed its folder."""
    work, root = RUNS[request.param], tmp_path_factory.mktemp(request.param)
    assert in_a_child(work, root / "run", None, 0) == 0
    return work, RunFolder(root / "run"), int((root / "accesses").read_text())


def assert_same(folder: RunFolder, whole: RunFolder) -> None:
    """Every tensor of every checkpoint, and every byte of the tables."""
    assert folder.is_finished
    names = {path.name for path in whole.path.iterdir()} - {"environment.json"}
    assert {path.name for path in folder.path.iterdir()} - {"environment.json"} == names
    for name in sorted(names):
        one, other = folder.path / name, whole.path / name
        if name == "last.previous.pt":
            continue  # the one before the last, which a stop may have added
        if name.endswith(".pt"):
            assert_identical(load_checkpoint(one).state, load_checkpoint(other).state)
        else:
            assert one.read_bytes() == other.read_bytes(), name


def check(unbroken, folder: Path, moments: list[tuple[int, int]]) -> None:
    """Kill a run at each moment in turn, let it end, and compare it with the unbroken one."""
    work, whole, _ = unbroken
    for at, number in moments:
        code = in_a_child(work, folder, at, number)
        assert code in (0, -number, STOPPED), (at, number, code)
    assert in_a_child(work, folder, None, 0) == 0
    assert_same(RunFolder(folder), whole)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM], ids=["kill", "term"])
def test_a_run_killed_at_a_few_moments_equals_an_unbroken_one(unbroken, number, tmp_path):
    """At its first accesses, and at some others."""
    accesses = unbroken[2]
    moments = {1, 3, *range(5, accesses, accesses // 3)}
    for at in sorted(moments):
        check(unbroken, tmp_path / str(at), [(at, number)])


@pytest.mark.slow
@pytest.mark.nightly
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM], ids=["kill", "term"])
def test_a_run_killed_at_any_moment_equals_an_unbroken_one(unbroken, number, tmp_path):
    for at in range(1, unbroken[2] + 1):
        check(unbroken, tmp_path / str(at), [(at, number)])


@pytest.mark.slow
@pytest.mark.nightly
def test_a_run_killed_again_and_again_equals_an_unbroken_one(unbroken, tmp_path):
    numbers = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT, signal.SIGUSR1)
    for at in range(2, unbroken[2] + 1, 3):
        moments = [(max(1, at - 7 * index), number) for index, number in enumerate(numbers)]
        check(unbroken, tmp_path / str(at), moments)
