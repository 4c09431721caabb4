import json
import shutil

import pandas as pd
import pytest

from fundus_uda.errors import InputError
from fundus_uda.export.provenance import provenance_of, settings_without_places
from fundus_uda.segmentation.model import load_model
from tests.fixtures.small_run import small_settings


def about(path, which="last"):
    return provenance_of(load_model(path, "cpu", which), path, which)


def test_places_become_kinds(cameras):
    settings = small_settings(
        cameras, "method=mean_teacher", "start=/home/mueller/run", "network.weights=/home/w.pth",
        "data.source=refuge:/home/mueller/refuge#train", "data.target=/home/mueller",
        "data.source_annotation=Erika", "data.target_annotation=majority",
    )  # fmt: skip
    left = settings_without_places(settings)
    assert (left.data.source, left.data.target, left.data.test) == ("refuge#train", "unknown", None)
    assert (left.data.source_annotation, left.data.target_annotation) == (None, "majority")
    assert (left.start, left.network.weights) == ("a run", "a file")
    assert left.model_dump(exclude={"data", "start", "network"}) == settings.model_dump(
        exclude={"data", "start", "network"}
    )


def test_a_run_tells_kind_count_terms_and_scores(seeing_run):
    found = about(seeing_run)
    assert (found.source.kind, found.source.photographs) == ("folder", 8)
    assert found.source.terms == "those of its owner"
    assert (found.target, found.method, found.step) == (None, "Source only", 60)
    assert found.scores["data"] == "folder"
    written = json.loads((seeing_run / "evaluation" / "last" / "summary.json").read_text())
    assert found.scores["dice_disc"]["mean"] == written["dice_disc"]["mean"]


def test_photographs_that_are_others_now_are_not_counted(seeing_run, cameras, tmp_path):
    run = tmp_path / "run"
    shutil.copytree(seeing_run, run)
    model = load_model(run, "cpu")
    data = model.settings.data.model_copy(update={"source": f"folder:{cameras / 'b'}"})
    model = type(model)(
        **(vars(model) | {"settings": model.settings.model_copy(update={"data": data})})
    )
    assert provenance_of(model, run, "last").source.photographs is None


def test_an_adaptation_tells_the_measures_of_the_stage_that_it_keeps(seeing_run, tmp_path):
    shutil.copytree(seeing_run, tmp_path / "run")
    rows = {
        "stage": ["a", "b"],
        "estimated_dice": [0.7, 0.6],
        "mean_affinity": [0.99, 0.98],
        "effective_classes": [2.0, 2.1],
        "collapsed": [False, True],
        "left_out": [False, True],
    }
    pd.DataFrame(rows).to_csv(tmp_path / "stages.csv", index=False)
    (tmp_path / "model.json").write_text('{"path": "run"}')
    measured = {"estimated_dice": 0.7, "mean_affinity": 0.99, "effective_classes": 2.0}
    assert about(tmp_path).label_free == measured | {"collapsed": False}


def test_damaged_scores_are_named(seeing_run, tmp_path):
    run = tmp_path / "run"
    shutil.copytree(seeing_run, run)
    (run / "evaluation" / "last" / "summary.json").write_text("{}")
    with pytest.raises(InputError, match="scores of the run in .*summary.json. Got: .*KeyError"):
        about(run)
