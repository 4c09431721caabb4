"""The outlines of an adaptation's target: made once for each decision."""

import json

import pandas as pd
import pytest
import torch

from fundus_uda.recipe import outlining
from fundus_uda.recipe.adapt import KEPT_ROW
from fundus_uda.recipe.outlining import left_out, outline_target
from fundus_uda.recipe.plan import Task

KEPT = {"stage": "asa", "title": "Alignment", "collapsed": False, **KEPT_ROW}
LEFT_OUT = KEPT | {"title": "Mean teacher", "left_out": True, "reason": "No rise."}


@pytest.fixture
def outlined(tmp_path, monkeypatch):
    """Outline with a table of stages: the folders that are written, by the networks' names."""

    def write(network, _, folder, key, note="", **more):
        written.append((network.name, folder.name))
        folder.mkdir()
        (folder / "report.html").touch()
        (folder / "summary.json").write_text(json.dumps({"note": note}))

    def outline(*rows):
        written.clear()
        outline_target(task, [], tmp_path / "first", tmp_path / "kept", None, pd.DataFrame(rows))
        return list(written)

    written: list[tuple[str, str]] = []
    monkeypatch.setattr(outlining, "load_model", lambda path, _: path)
    monkeypatch.setattr(outlining, "predict", write)
    task = Task([], tmp_path, torch.device("cpu"), None, None, 0, "cpu", None, ())
    return outline


BOTH = [("first", "before"), ("kept", "predictions")]


def test_outlines_of_another_decision_are_made_anew(outlined):
    assert outlined(KEPT) == BOTH
    assert outlined(KEPT) == []
    assert outlined(KEPT, LEFT_OUT) == BOTH[1:]
    assert outlined(KEPT, LEFT_OUT) == []


@pytest.mark.parametrize("text", [None, '{"note": ', "{}"])
def test_outlines_that_were_cut_off_are_made_anew(text, outlined, tmp_path):
    outlined(KEPT)
    summary = tmp_path / "before" / "summary.json"
    summary.unlink() if text is None else summary.write_text(text)
    assert outlined(KEPT) == BOTH[:1]


def test_a_note_says_what_a_reader_must_know(outlined, tmp_path):
    collapsed = KEPT | {"collapsed": True, "sizes_not_matched": "too few discs"}
    outlined(collapsed, LEFT_OUT)
    assert json.loads((tmp_path / "predictions" / "summary.json").read_text())["note"] == (
        "Mean teacher: No rise. The network before it is used. "
        "The prediction on these photographs collapsed. Do not trust it. "
        "The source's discs were shown as large as they are: too few discs."
    )


def test_what_is_left_out_is_told():
    assert left_out(pd.DataFrame([KEPT])) == []
    told = left_out(pd.DataFrame([KEPT, LEFT_OUT]))
    assert told == ["Mean teacher: No rise. The network before it is used."]
