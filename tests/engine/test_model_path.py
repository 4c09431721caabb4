"""What a MODEL names: files, run folders, folders of several runs."""

from pathlib import Path

import pytest
import torch

from fundus_uda.engine.model_path import (
    checkpoint_file,
    kept_run,
    name_kept_run,
    names_a_model,
    require_file,
    require_model,
)
from fundus_uda.engine.run_folder import RunFolder
from fundus_uda.errors import InputError
from tests.fixtures.tiny_engine import settings


def test_a_model_is_a_file_or_one_checkpoint_of_a_run_folder(tmp_path):
    file = tmp_path / "some.pt"
    for which in ("last", "selected"):
        assert checkpoint_file(file, which) == file
        with pytest.raises(InputError, match="folder with last.pt, or .* Got: neither. Has its"):
            checkpoint_file(tmp_path, which)
    (tmp_path / "last.pt").touch()
    assert checkpoint_file(tmp_path) == tmp_path / "last.pt"
    message = f"run folder with selected.pt at {tmp_path}. Got: none, .* Take its last checkpoint"
    with pytest.raises(InputError, match=message):
        checkpoint_file(tmp_path, "selected")
    (tmp_path / "selected.pt").touch()
    assert checkpoint_file(tmp_path) == tmp_path / "last.pt"
    assert checkpoint_file(tmp_path, "selected") == tmp_path / "selected.pt"


def test_the_selected_checkpoint_is_one_of_a_folder(tmp_path):
    for name in ("last.pt", "selected.pt"):
        (tmp_path / name).touch()
    assert checkpoint_file(tmp_path / "selected.pt", "selected") == tmp_path / "selected.pt"
    with pytest.raises(InputError, match="Expected a run folder, of which the selected"):
        checkpoint_file(tmp_path / "last.pt", "selected")


@pytest.mark.parametrize(("name", "hint"), [
    ("a.onnx", "Write one with `fundus-uda export MODEL --format onnx --out FILE`"),
    ("a.safetensors", "Write one with `fundus-uda export MODEL --format safetensors --out FILE`"),
    ("a.pt", "Train that run first"),
])  # fmt: skip
def test_a_file_that_is_missing_is_told_with_how_to_make_it(name, hint, tmp_path):
    for asks in (require_file, lambda file: require_model(file, [], "last")):
        with pytest.raises(InputError, match=f"at .*{name}. Got: no such file. {hint}"):
            asks(tmp_path / name)
    (tmp_path / name).touch()
    require_file(tmp_path / name)


def test_folders_that_name_each_other_are_refused(tmp_path):
    for folder, other in ("ab", "ba"):
        (tmp_path / folder).mkdir()
        name_kept_run(tmp_path / folder, "asa", tmp_path / other)
    with pytest.raises(InputError, match=f"Got: {tmp_path / 'a'}, which leads back here"):
        kept_run(tmp_path / "a")


def test_an_unfinished_adaptation_is_no_model_yet(tmp_path):
    (tmp_path / "adaptation.json").write_text("{}")
    with pytest.raises(InputError, match="one that was stopped. Go on .* --resume"):
        checkpoint_file(tmp_path)
    (tmp_path / "model.json").write_text('{"path": "."}')
    with pytest.raises(InputError, match="Expected a run below"):
        checkpoint_file(tmp_path)
    (tmp_path / "model.json").write_text("{")
    with pytest.raises(InputError, match="path of a run in .*model.json. Got: JSONDecodeError"):
        checkpoint_file(tmp_path)


def test_the_first_argument_is_a_model_unless_it_is_photographs(tmp_path):
    run, photographs, empty = (tmp_path / name for name in ("run", "photographs", "empty"))
    RunFolder(run).begin(settings(), torch.device("cpu"))  # without a checkpoint yet
    for folder in (photographs, empty):
        folder.mkdir()
    (photographs / "a.jpg").touch()
    (tmp_path / "model.onnx").touch()
    for first in (run, empty, tmp_path / "nowhere", tmp_path / "model.onnx"):
        assert names_a_model([first, photographs])
    assert names_a_model([tmp_path / "model.onnx"])
    assert names_a_model([photographs, tmp_path / "model.onnx"])  # swapped
    for alone in ([photographs], [photographs / "a.jpg"], [tmp_path / "nowhere"]):
        assert not names_a_model(alone)
    assert not names_a_model([photographs, photographs])
    assert not names_a_model([Path("refuge:a"), Path("refuge:b")])
    assert names_a_model([Path("C:/nowhere"), photographs])
    assert not names_a_model([photographs / "a.jpg", photographs])
