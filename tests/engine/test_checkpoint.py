import subprocess
import sys

import pytest
import torch

from fundus_uda.engine import train
from fundus_uda.engine.checkpoint import FORMAT, load_checkpoint, resume, save_checkpoint
from fundus_uda.errors import InputError, RunError
from tests.fixtures.runs import assert_identical, power_failure
from tests.fixtures.tiny_engine import CLASSES, run, settings, state


@pytest.mark.parametrize("method", ["source", "asa", "asa_asc"])
def test_seven_steps_equal_three_and_four(method, tmp_path):
    of = settings(method=method)
    whole = state(of)
    run(whole, of, tmp_path / "whole")

    with power_failure(train, "adaptation_step", at=3):
        run(state(of), of, tmp_path / "parts")
    torch.rand(5)  # whatever happens in between
    parts = state(of)
    resume(tmp_path / "parts" / "last.pt", parts, of, {"source": "s"})
    assert parts.step == 3
    run(parts, of, tmp_path / "parts")
    assert_identical(whole.state_dict(), parts.state_dict())
    metrics = [(tmp_path / name / "metrics.csv").read_text() for name in ("whole", "parts")]
    assert metrics[0] == metrics[1]


def test_another_setting_or_image_list_is_refused_with_both_values(tmp_path):
    of = settings(steps=3)
    run(state(of), of, tmp_path / "run")
    other = settings(steps=3, segmenter={"lr": 0.5})
    with pytest.raises(InputError) as caught:
        resume(tmp_path / "run" / "last.pt", state(other), other, {"source": "t"})
    assert "segmenter.lr: 0.5 here, 0.05 there" in str(caught.value)
    assert "fingerprint of source: 't' here, 's' there" in str(caught.value)


def test_the_number_of_workers_may_change(tmp_path):
    of = settings(steps=3)
    run(state(of), of, tmp_path / "run")
    more = settings(steps=3, workers=2)
    resumed = state(more)
    resume(tmp_path / "run" / "last.pt", resumed, more, {"source": "s"})
    assert resumed.step == 3


def test_a_start_may_move_and_not_change(tmp_path):
    """Without its fingerprint, as in earlier versions, the address must be the same."""
    moved = settings(steps=3, start="b", method="asc")
    for of, there, here, refused in (
        (settings(steps=3, start="a", method="asc"), {"start": "1"}, {"start": "1"}, ""),
        (
            settings(steps=3, start="a", method="asc"),
            {"start": "1"},
            {"start": "2"},
            "of start: '2'",
        ),
        (settings(steps=3, start="b", method="asc"), {}, {"start": "2"}, ""),
        (settings(steps=3, start="a", method="asc"), {}, {"start": "2"}, "start: 'b' here, 'a' th"),
    ):
        save_checkpoint(tmp_path / "last.pt", state(of), of, there, CLASSES)
        if refused:
            with pytest.raises(InputError, match=refused):
                resume(tmp_path / "last.pt", state(moved), moved, here)
        else:
            resume(tmp_path / "last.pt", state(moved), moved, here)


@pytest.mark.parametrize("kind", [OSError, RuntimeError])  # torch makes the latter of a full disk
def test_a_failed_write_keeps_the_old_checkpoint_alone(kind, tmp_path, monkeypatch):
    of = settings()
    path = tmp_path / "last.pt"
    save_checkpoint(path, state(of), of, {}, CLASSES)
    before = path.read_bytes()

    def fail(contents, file):
        file.write(b"half")
        raise kind("disk full")

    monkeypatch.setattr(torch, "save", fail)
    with pytest.raises(RunError, match="Got: disk full .* Make room, then go on with --resume"):
        save_checkpoint(path, state(of), of, {}, CLASSES)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_a_file_size_limit_ends_without_a_traceback(tmp_path):
    code = """
import resource, sys
from pathlib import Path
from fundus_uda.engine.checkpoint import save_checkpoint
from fundus_uda.errors import RunError
from tests.fixtures.tiny_engine import CLASSES, settings, state
of = settings()
ready = state(of)
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
try:
    save_checkpoint(Path(sys.argv[1]), ready, of, {}, CLASSES)
except RunError:
    print("RunError")
"""
    command = [sys.executable, "-c", code, str(tmp_path / "last.pt")]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (result.stdout, result.returncode) == ("RunError\n", 0), result.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("part", ["segmenter", "step"])
def test_a_checkpoint_without_its_network_is_refused(part, tmp_path):
    of = settings()
    save_checkpoint(tmp_path / "last.pt", state(of), of, {}, CLASSES)
    contents = torch.load(tmp_path / "last.pt", weights_only=True)
    del contents["state"][part]
    torch.save(contents, tmp_path / "last.pt")
    with pytest.raises(InputError, match=r"with \['segmenter', 'step'\] in .* Copy the file"):
        load_checkpoint(tmp_path / "last.pt")


def test_a_checkpoint_without_its_optimiser_is_not_resumed(tmp_path):
    of = settings()
    save_checkpoint(tmp_path / "last.pt", state(of), of, {}, CLASSES)
    contents = torch.load(tmp_path / "last.pt", weights_only=True)
    del contents["state"]["segmenter_optimizer"]
    torch.save(contents, tmp_path / "last.pt")
    with pytest.raises(InputError, match="Got: one without segmenter_optimizer. Copy"):
        resume(tmp_path / "last.pt", state(of), of, {})


def test_what_is_no_checkpoint_is_refused(tmp_path):
    with pytest.raises(InputError, match="no such file"):
        load_checkpoint(tmp_path / "none.pt")
    (tmp_path / "text.pt").write_text("hello")
    with pytest.raises(InputError, match="Expected a checkpoint of this program.*text.pt"):
        load_checkpoint(tmp_path / "text.pt")
    torch.save({"weights": torch.zeros(1)}, tmp_path / "other.pt")
    with pytest.raises(InputError, match="Got: another kind of file"):
        load_checkpoint(tmp_path / "other.pt")


def test_a_truncated_checkpoint_is_refused(tmp_path):
    of = settings()
    save_checkpoint(tmp_path / "last.pt", state(of), of, {}, CLASSES)
    contents = (tmp_path / "last.pt").read_bytes()
    (tmp_path / "half.pt").write_bytes(contents[: len(contents) // 2])
    with pytest.raises(InputError, match="damaged"):
        load_checkpoint(tmp_path / "half.pt")


def test_code_in_a_checkpoint_is_not_run(tmp_path):
    class Bomb:
        def __reduce__(self):
            return (open, (str(tmp_path / "ran"), "w"))

    torch.save({"state": Bomb()}, tmp_path / "bomb.pt")
    with pytest.raises(InputError, match="Expected a checkpoint"):
        load_checkpoint(tmp_path / "bomb.pt")
    assert not (tmp_path / "ran").exists()


def test_another_format_and_changed_settings_are_refused(tmp_path):
    of = settings()
    save_checkpoint(tmp_path / "last.pt", state(of), of, {}, CLASSES)
    contents = torch.load(tmp_path / "last.pt", weights_only=True)
    torch.save({**contents, "format": FORMAT + 1}, tmp_path / "newer.pt")
    with pytest.raises(InputError, match=f"format {FORMAT} .* Got: {FORMAT + 1}"):
        load_checkpoint(tmp_path / "newer.pt")
    contents["settings"]["seed"] = 99
    torch.save(contents, tmp_path / "edited.pt")
    with pytest.raises(InputError, match="match their fingerprint"):
        load_checkpoint(tmp_path / "edited.pt")
