import pickle

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from fundus_uda.data.synthetic import render
from fundus_uda.errors import InputError
from fundus_uda.export.formats import export
from fundus_uda.segmentation.model import load_model


@pytest.fixture
def file(exported):
    return exported("safetensors")[0]


def metadata_of(file):
    with safe_open(file, framework="pt") as opened:
        return opened.metadata()


def test_it_is_the_same_model_without_pickle(file, seeing_run, monkeypatch):
    ours = load_model(seeing_run, "cpu")

    def never(*_, **__):
        raise AssertionError("something was unpickled")

    monkeypatch.setattr(torch, "load", never)
    monkeypatch.setattr(pickle, "Unpickler", never)
    theirs = load_model(file, "cpu")
    photograph, _ = render("a", 3, 80)
    assert torch.equal(*(model.views(photograph[None], flips=True) for model in (ours, theirs)))
    assert (theirs.step, theirs.settings.data.source) == (ours.step, "folder")
    assert torch.equal(theirs.label_shares, ours.label_shares.double())


def test_half_precision_halves_the_file_and_hardly_moves_the_probabilities(
    file, exported, seeing_run
):
    half = exported("safetensors-half")[0]
    assert half.stat().st_size < 0.55 * file.stat().st_size
    photograph, _ = render("a", 3, 80)
    ours, theirs = (load_model(path, "cpu") for path in (seeing_run, half))
    ours, theirs = (model.views(photograph[None], flips=True) for model in (ours, theirs))
    difference = ours - theirs
    assert difference.abs().max() < 0.02
    weights = load_file(half)
    assert {w.dtype for w in weights.values() if w.ndim > 1} == {torch.float16}
    assert all(w.dtype != torch.float16 for n, w in weights.items() if "running" in n)


def test_the_card_is_inside(file):
    assert "## Intended use and limits" in metadata_of(file)["card"]


def damaged(whole, file, change):
    weights, metadata = load_file(whole), metadata_of(whole)
    change(weights, metadata)
    save_file(weights, file, metadata)
    return file


def test_changed_weights_are_noticed(file, tmp_path):
    def change(weights, _):
        name = next(iter(weights))
        weights[name] = weights[name] + 1

    changed = damaged(file, tmp_path / "m.safetensors", change)
    with pytest.raises(InputError, match="weights in .* to match their checksum. Got: changed"):
        load_model(changed, "cpu")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda _, metadata: metadata.pop("fundus_uda"), "one of another program"),
        (lambda _, metadata: metadata.update(fundus_uda="{"), "description of a network in format"),
        (
            lambda _, metadata: metadata.update(
                fundus_uda=metadata["fundus_uda"].replace('"format":1', '"format":2')
            ),
            "in format 1 in .* Got: another. Export the network anew",
        ),
    ],
)
def test_other_descriptions_are_refused(change, message, file, tmp_path):
    with pytest.raises(InputError, match=message):
        load_model(damaged(file, tmp_path / "m.safetensors", change), "cpu")


def test_a_cut_file_and_no_file_are_named(file, tmp_path):
    cut = tmp_path / "cut.safetensors"
    cut.write_bytes(file.read_bytes()[:-100])
    with pytest.raises(InputError, match="file of safetensors at .*cut.* Got: .* damaged"):
        load_model(cut, "cpu")
    with pytest.raises(InputError, match="exported network at .*none.* Got: no such file"):
        load_model(tmp_path / "none.safetensors", "cpu")


def test_it_serves_as_a_model_that_is_exported_again(file, tmp_path):
    again = tmp_path / "again.safetensors"
    export(file, "safetensors", again)
    one, other = load_file(file), load_file(again)
    assert all(np.array_equal(one[name], other[name]) for name in one)
