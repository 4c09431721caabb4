import errno
import hashlib
import os
import random
import subprocess
import sys

import pytest
import torch

from fundus_uda.engine import train
from fundus_uda.engine.checkpoint import (
    FORMAT,
    DamagedCheckpointError,
    checksum,
    load_checkpoint,
    previous_checkpoint,
    require_same_network,
    resume,
    save_checkpoint,
)
from fundus_uda.engine.fingerprint import fingerprint, fingerprint_files
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


def save_with_checksum(contents, path):
    """A file of the right outer form, whatever is inside."""
    contents = {key: value for key, value in contents.items() if key != "checksum"}
    torch.save({**contents, "checksum": checksum(contents)}, path)


@pytest.mark.parametrize("part", ["segmenter", "step"])
def test_a_checkpoint_without_its_network_is_refused(part, tmp_path):
    of = settings()
    save_checkpoint(tmp_path / "last.pt", state(of), of, {}, CLASSES)
    contents = torch.load(tmp_path / "last.pt", weights_only=True)
    del contents["state"][part]
    save_with_checksum(contents, tmp_path / "last.pt")
    with pytest.raises(InputError, match=r"with \['segmenter', 'step'\] in .* Copy the file"):
        load_checkpoint(tmp_path / "last.pt")


def test_a_checkpoint_without_its_optimiser_is_not_resumed(tmp_path):
    of = settings()
    save_checkpoint(tmp_path / "last.pt", state(of), of, {}, CLASSES)
    contents = torch.load(tmp_path / "last.pt", weights_only=True)
    del contents["state"]["segmenter_optimizer"]
    save_with_checksum(contents, tmp_path / "last.pt")
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
    with pytest.raises(InputError, match="match their checksum"):
        load_checkpoint(tmp_path / "edited.pt")


def test_a_flipped_bit_anywhere_is_noticed(tmp_path):
    of = settings(steps=3)
    run(state(of), of, tmp_path / "run")
    whole = (tmp_path / "run" / "last.pt").read_bytes()
    rng = random.Random(0)
    for _ in range(40):
        place = rng.randrange(len(whole))
        damaged = bytearray(whole)
        damaged[place] ^= 1 << rng.randrange(8)
        (tmp_path / "damaged.pt").write_bytes(damaged)
        try:
            loaded = load_checkpoint(tmp_path / "damaged.pt")
        except InputError:
            continue
        # a bit between the entries of the archive, which holds nothing
        assert_identical(loaded.state, load_checkpoint(tmp_path / "run" / "last.pt").state)


def test_one_changed_weight_is_noticed(tmp_path):
    of = settings(steps=3)
    run(state(of), of, tmp_path / "run")
    contents = torch.load(tmp_path / "run" / "last.pt", weights_only=True)
    next(iter(contents["state"]["segmenter"].values())).view(-1)[0] += 1e-3
    torch.save(contents, tmp_path / "changed.pt")
    with pytest.raises(DamagedCheckpointError, match="to match their checksum. Got: changed ones"):
        load_checkpoint(tmp_path / "changed.pt")


def test_resume_goes_on_from_the_checkpoint_before_a_damaged_one(tmp_path, capsys):
    of = settings(steps=7)
    run(state(of), of, tmp_path / "whole")
    run(state(of), of, tmp_path / "run")
    last = tmp_path / "run" / "last.pt"
    last.write_bytes(last.read_bytes()[: last.stat().st_size // 2])
    resumed = state(of)
    resume(last, resumed, of, {"source": "s"})
    assert resumed.step == 6
    assert "Going on from the one before it, of step 6" in capsys.readouterr().err


def test_without_hard_links_the_checkpoint_before_is_a_copy(tmp_path, monkeypatch):
    """As on exFAT, and on many network mounts."""
    of, file = settings(), tmp_path / "last.pt"
    monkeypatch.setattr(os, "link", _no_links)
    for step in (1, 2):
        trained = state(of)
        trained.step = step
        save_checkpoint(file, trained, of, {}, CLASSES, keeps_previous=True)
    assert [load_checkpoint(kept).step for kept in (file, previous_checkpoint(file))] == [2, 1]


def _no_links(*_):
    raise OSError(errno.EPERM, "Operation not permitted")


def test_without_the_one_before_a_damaged_checkpoint_is_an_error(tmp_path):
    of = settings(steps=3)
    run(state(of), of, tmp_path / "run")
    last = tmp_path / "run" / "last.pt"
    last.write_bytes(b"damaged")
    previous_checkpoint(last).unlink()
    with pytest.raises(DamagedCheckpointError, match="damaged one"):
        resume(last, state(of), of, {"source": "s"})


def test_the_fingerprint_is_of_the_images_bytes(tmp_path):
    (tmp_path / "a.png").write_bytes(b"one")
    before = fingerprint_files([("a", tmp_path / "a.png", ())])
    (tmp_path / "a.png").write_bytes(b"two")  # as long as before
    assert fingerprint_files([("a", tmp_path / "a.png", ())]) != before
    assert fingerprint_files([]) == ""


def test_a_checkpoint_says_what_it_holds(tmp_path):
    of = settings(method="mean_teacher")
    trained = state(of)
    trained.step = 4
    with torch.no_grad():
        trained.teacher[4].weight.add_(1)
    save_checkpoint(tmp_path / "last.pt", trained, of, {"source": "s"}, CLASSES)
    loaded = load_checkpoint(tmp_path / "last.pt")
    assert (loaded.step, loaded.data, loaded.classes) == (4, {"source": "s"}, CLASSES)
    assert loaded.settings == of.model_dump(mode="json")
    assert torch.equal(loaded.label_shares, trained.label_shares)
    assert torch.equal(loaded.weights["4.weight"], trained.teacher[4].weight)
    contents = torch.load(tmp_path / "last.pt", weights_only=True)
    assert contents["versions"] == {
        "torch": str(torch.__version__),
        "python": ".".join(map(str, sys.version_info[:3])),
    }
    plain = settings(method="source")
    save_checkpoint(tmp_path / "plain.pt", state(plain), plain, {}, CLASSES)
    plain_weights = load_checkpoint(tmp_path / "plain.pt").weights
    assert torch.equal(plain_weights["4.weight"], state(plain).segmenter[4].weight)


def test_a_checkpoint_is_on_the_disk_before_it_takes_the_old_ones_place(tmp_path, monkeypatch):
    of, events = settings(), []
    for name in ("fsync", "replace"):
        call = getattr(os, name)

        def noted(*arguments, name=name, call=call):
            if name == "fsync":
                file = tmp_path / ".tmp.last.pt"
                events.append(("fsync", file.stat().st_size))
            else:
                events.append(("replace", arguments[0].stat().st_size))
            call(*arguments)

        monkeypatch.setattr(os, name, noted)
    save_checkpoint(tmp_path / "last.pt", state(of), of, {}, CLASSES)
    size = (tmp_path / "last.pt").stat().st_size
    assert events == [("fsync", size), ("replace", size)]


def test_a_mean_teachers_checkpoint_needs_its_teacher(tmp_path):
    of = settings(method="mean_teacher")
    save_checkpoint(tmp_path / "last.pt", state(of), of, {}, CLASSES)
    contents = torch.load(tmp_path / "last.pt", weights_only=True)
    del contents["state"]["teacher"]
    save_with_checksum(contents, tmp_path / "last.pt")
    with pytest.raises(InputError, match=r"with \['step', 'teacher'\]"):
        load_checkpoint(tmp_path / "last.pt")
    save_with_checksum({**contents, "state": [1]}, tmp_path / "list.pt")
    with pytest.raises(InputError, match="Got: list. Copy"):
        load_checkpoint(tmp_path / "list.pt")


def test_a_run_that_trains_no_segmenter_has_a_step_alone(tmp_path):
    of = settings()
    save_checkpoint(tmp_path / "last.pt", state(of), of, {}, classes=0)
    contents = torch.load(tmp_path / "last.pt", weights_only=True)
    save_with_checksum({**contents, "state": {"step": 3}}, tmp_path / "last.pt")
    loaded = load_checkpoint(tmp_path / "last.pt")
    assert (loaded.step, loaded.classes) == (3, 0)


def test_a_list_is_no_checkpoint(tmp_path):
    torch.save(["format", "state"], tmp_path / "list.pt")
    with pytest.raises(InputError, match="Expected a checkpoint of this program .* Name last.pt"):
        load_checkpoint(tmp_path / "list.pt")


def test_another_image_list_alone_is_refused(tmp_path):
    of = settings()
    save_checkpoint(tmp_path / "last.pt", state(of), of, {"source": "s"}, CLASSES)
    with pytest.raises(InputError, match="Resume with those, or start a new run") as caught:
        resume(tmp_path / "last.pt", state(of), of, {"source": "t"})
    assert "\n  fingerprint of source: 't' here, 's' there\n" in str(caught.value)


def test_a_start_of_another_network_is_refused_with_both_values():
    ours = {"network": {"encoder": "resnet50"}}
    require_same_network("runs/asa", ours, {"network": {"encoder": "resnet50"}})
    with pytest.raises(InputError, match="Expected the network of runs/asa") as caught:
        require_same_network("runs/asa", ours, {"network": {"encoder": "resnet101"}})
    assert "\n  network.encoder: 'resnet50' here, 'resnet101' there\n" in str(caught.value)


def test_a_fingerprint_is_the_sha_256_whatever_the_order_of_keys():
    assert fingerprint({"b": 1, "a": [2]}) == fingerprint({"a": [2], "b": 1})
    assert fingerprint({"a": 1}) == hashlib.sha256(b'{"a": 1}').hexdigest()


def test_a_fingerprint_of_files_is_of_names_images_and_labels(tmp_path):
    image, label = tmp_path / "image.png", tmp_path / "label.png"

    def of(name="x", image_bytes=b"1234", label_bytes=b"label", labelled=True):
        image.write_bytes(image_bytes)
        label.write_bytes(label_bytes)
        return fingerprint_files([(name, image, [label] if labelled else [])])

    whole = of()
    others = [of(name="y"), of(image_bytes=b"4321"), of(label_bytes=b"lebal"), of(labelled=False)]
    assert len({whole, *others}) == 5
    assert fingerprint_files([]) == ""
    assert fingerprint_files(iter([("x", image, [label])])) == of()


def with_part(contents, name, value):
    """The contents with another value at a dotted name."""
    head, dot, rest = name.partition(".")
    inner = with_part(contents[head], rest, value) if dot else value
    return {**contents, head: inner}


@pytest.mark.parametrize(("name", "value", "found"), [
    ("format", torch.ones(2), "tensor"),
    ("settings", [1], "settings that are not named"),
    ("settings", {1: 2}, "settings that are not named"),
    ("settings.affinity.stride", torch.zeros(0), "settings that are not named texts and numbers"),
    ("settings.method", "x", "the method 'x'"),
    ("settings.method", [], r"the method \[\]"),
    ("data", {"source": 3}, "fingerprints that are not texts"),
    ("classes", "3", "a number of classes"),
    ("classes", -1, "a number of classes"),
    ("state", {1: 2, "step": 0, "segmenter": {}}, "parts that are not named"),
    ("state.step", "3", "a step that is no number"),
    ("state.step", -1, "a step that is no number"),
    ("state.selected_score", "x", "a selection that is none"),
    ("state.class_thresholds", [1], "a selection that is none"),
    ("state.label_shares", None, "no share of each class"),
    ("state.label_shares", torch.ones(2), "no share of each class"),
    ("state.segmenter", [], "weights that are no named tensors"),
    ("state.segmenter", {1: torch.ones(1)}, "weights that are no named tensors"),
    ("state.segmenter", {"a": 1}, "weights that are no named tensors"),
    ("state.segmenter", {"a": torch.tensor(float("nan"))}, "weights that are not finite"),
])  # fmt: skip
def test_wrong_parts_in_the_right_form_are_refused_by_the_file(name, value, found, tmp_path):
    of = settings()
    save_checkpoint(tmp_path / "last.pt", state(of), of, {}, CLASSES)
    contents = torch.load(tmp_path / "last.pt", weights_only=True)
    save_with_checksum(with_part(contents, name, value), tmp_path / "last.pt")
    with pytest.raises(InputError, match=f"last.pt.* Got: {found}"):
        load_checkpoint(tmp_path / "last.pt")


@pytest.mark.parametrize(("name", "value"), [
    ("state.segmenter_optimizer", {}),
    ("state.segmenter_optimizer.param_groups", "x"),
    ("state.segmenter_optimizer.state", {0: {"momentum_buffer": torch.ones(7)}}),
    ("state.discriminator", {"a": torch.ones(1)}),
    ("state.segmenter", {"a": torch.ones(1)}),
])  # fmt: skip
def test_wrong_parts_are_not_resumed(name, value, tmp_path):
    of = settings()
    save_checkpoint(tmp_path / "last.pt", state(of), of, {}, CLASSES)
    contents = torch.load(tmp_path / "last.pt", weights_only=True)
    save_with_checksum(with_part(contents, name, value), tmp_path / "last.pt")
    with pytest.raises(InputError, match=r"last.pt. Got: one that does not fit \("):
        resume(tmp_path / "last.pt", state(of), of, {})


def test_the_rates_of_an_optimiser_are_not_taken_from_a_stranger(tmp_path):
    of = settings()
    save_checkpoint(tmp_path / "last.pt", state(of), of, {}, CLASSES)
    contents = torch.load(tmp_path / "last.pt", weights_only=True)
    contents["state"]["segmenter_optimizer"]["param_groups"][0]["base_lr"] = 9.0
    save_with_checksum(contents, tmp_path / "last.pt")
    with pytest.raises(InputError, match="one that does not fit"):
        resume(tmp_path / "last.pt", state(of), of, {})
