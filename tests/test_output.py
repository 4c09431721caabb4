"""Progress and notes on stderr."""

import io
import sys

import pytest

from fundus_uda import output
from fundus_uda.output import Progress, in_words, part, progress


@pytest.fixture
def clock(monkeypatch):
    """A clock that a test puts forward."""
    now = [0.0]
    monkeypatch.setattr(output.time, "monotonic", lambda: now[0])
    return now


def run(total, clock, seconds=6.0, first=60.0, done=0):
    with Progress("asa", total, done) as shown:
        for step in range(done + 1, total + 1):
            clock[0] += first if step == done + 1 else seconds
            shown.update(step, "seg 0.5")


def test_without_a_terminal_an_estimate_after_ten_steps_then_a_line_now_and_then(clock, capsys):
    run(300, clock)
    printed = capsys.readouterr()
    assert printed.out == ""
    lines = printed.err.splitlines()
    assert lines[0] == "asa: 10 of 300, about 29 min left  seg 0.5"
    assert lines[1] == "asa: 15 of 300, about 28 min left  seg 0.5"
    assert len(lines) == 21
    assert lines[-1] == "asa: 300 of 300, done  seg 0.5"


def test_the_time_left_of_a_resumed_loop_counts_its_own_steps(clock, capsys):
    run(100, clock, done=80)
    assert capsys.readouterr().err.splitlines()[0] == "asa: 90 of 100, about 60 s left  seg 0.5"


def test_few_steps_say_nothing(clock, capsys):
    run(9, clock)
    assert capsys.readouterr().err == ""


def test_the_estimate_counts_what_follows_a_part(clock, capsys):
    with part("stage 1 of 2", further=600):
        run(300, clock)
    run(300, clock)
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == (
        "stage 1 of 2, asa: 10 of 300, about 29 min left (with all that follows: 89 min)  seg 0.5"
    )
    assert lines[21] == "asa: 10 of 300, about 29 min left  seg 0.5"


def test_quietly_there_is_neither_progress_nor_a_note(clock, monkeypatch, capsys):
    class Terminal(io.StringIO):
        def isatty(self):
            return True

    with output.quietly():
        run(300, clock)
        output.note("Going on.")
        monkeypatch.setattr(sys, "stderr", terminal := Terminal())
        run(300, clock)
        monkeypatch.undo()
    assert capsys.readouterr().err == terminal.getvalue() == ""
    output.note("Going on.")
    assert capsys.readouterr().err == "Going on.\n"


@pytest.mark.parametrize("terminal", [True, False])
def test_verbosely_each_step_is_a_line_and_details_are_told(terminal, clock, monkeypatch, capsys):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: terminal, raising=False)
    output.detail("Computing on cpu.")
    with output.verbosely():
        output.detail("Computing on cpu.")
        run(3, clock)
    assert capsys.readouterr().err.splitlines() == [
        "Computing on cpu.",
        "asa: 1 of 3  seg 0.5",
        "asa: 2 of 3, about 6 s left  seg 0.5",
        "asa: 3 of 3, done  seg 0.5",
    ]


def test_on_a_terminal_the_estimate_stands_above_a_bar_on_stderr(clock, monkeypatch, capsys):
    class Terminal(io.StringIO):
        def isatty(self):
            return True

    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    run(300, clock)
    assert "asa: about 29 min for 290 steps" in terminal.getvalue()
    assert "300/300" in terminal.getvalue()
    assert capsys.readouterr().out == ""


def test_parts_stand_before_the_title(clock, capsys):
    with part("stage 1 of 2"):
        list(progress(range(20), "asa", 20))
    list(progress(range(20), "asa", 20))
    lines = capsys.readouterr().err.splitlines()
    assert lines[0].startswith("stage 1 of 2, asa: 10 of 20")
    assert lines[2].startswith("asa: 10 of 20")


def test_durations_in_words():
    assert [in_words(s) for s in (0.4, 89, 100, 12_000)] == ["0 s", "89 s", "2 min", "3 h 20 min"]
