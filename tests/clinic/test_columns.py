"""The data dictionary has what is written, and nothing else."""

import json
from dataclasses import fields

import pandas as pd
import pytest
import torch
from typer.testing import CliRunner

from cli.main import app
from fundus_uda.application import FUNDUS
from fundus_uda.clinic.columns import data_dictionary
from fundus_uda.clinic.crops import write_labelled_crops
from fundus_uda.clinic.report.summary import columns
from fundus_uda.clinic.suggest import COLUMNS as SUGGESTED
from fundus_uda.data.datasets import load_samples
from fundus_uda.data.images import FundusImages
from fundus_uda.engine.selection import SelectionScore
from fundus_uda.engine.step import adaptation_step
from fundus_uda.experiments.results import collect
from fundus_uda.masks.dice import DICE
from fundus_uda.recipe.adapt import _stages_table
from fundus_uda.segmentation.comparison import compare
from fundus_uda.segmentation.evaluation import evaluate
from fundus_uda.segmentation.size_match import SizeMatch
from fundus_uda.translation.state import build_translation_state
from fundus_uda.translation.step import translation_step
from tests.engine.test_step import batches as adaptation_batches
from tests.fixtures import tiny_engine, tiny_translation
from tests.fixtures.seeing import brightness_model
from tests.segmentation.test_comparison import write_run
from tests.translation.test_step import batches as translation_batches


def described(table):
    return [column.name for column in data_dictionary() if column.table == table]


def test_it_has_the_columns_that_are_written_in_their_order(cameras, tmp_path):
    samples = load_samples(f"folder:{cameras / 'a'}")[:2]
    assert described("measurements.csv") == list(columns())
    assert described("crops.csv") == list(write_labelled_crops(samples, tmp_path / "c").columns)
    assert described("dice.csv") == list(evaluate(brightness_model(cameras), samples).columns)
    row = dict.fromkeys(DICE, 0.5)
    assert described("suggested.csv") == list(SUGGESTED)
    stages = _stages_table([row], has_masks=True, has_outlines=True)
    assert described("stages.csv") == list(stages.columns)


@pytest.mark.parametrize(
    ("name", "unit", "told"),
    [
        ("vertical_cdr", "1", "height of the cup over that of the disc"),
        ("disc_height_mm", "mm", "Blank unless DICOM states"),
        ("cup_area_mm2", "mm2", "Area of the optic cup, all pixels."),
        ("rim_clock_3_ratio", "1", "30 degrees around 3 o'clock"),
        ("rim_nasal_pixels", "pixel", "Blank without the eye's side"),
        ("rim_absent_degrees", "degree", "cup reaches the disc's outline"),
    ],
)
def test_a_column_has_its_unit_and_definition(name, unit, told):
    (column,) = [c for c in data_dictionary() if (c.table, c.name) == ("measurements.csv", name)]
    assert column.unit == unit
    assert told in column.definition


def test_it_has_the_columns_of_snapshots_and_of_the_match_of_labels(cameras):
    images = FundusImages(load_samples(f"folder:{cameras / 'a'}")[:2], 64, lambda item: item)
    row = SizeMatch(images, lambda: [], aligned=False).show(torch.zeros(0, 2))
    assert described("label_match.csv") == ["step", *row]
    assert described("snapshots.csv") == ["step", *(f.name for f in fields(SelectionScore))]


def test_it_has_the_losses_of_steps_in_their_order():
    source, target = adaptation_batches()
    written = [["step"]]
    for method in ("asa_asc", "mean_teacher"):
        of = tiny_engine.settings(method=method, precision="float16", start="runs/a")
        written.append(list(adaptation_step(tiny_engine.state(of), source, target, of)))
    of = tiny_translation.settings()
    state = build_translation_state(of, torch.device("cpu"))
    pair = translation_batches()
    written.append(list(translation_step(state, *pair, tiny_translation.segmenter(), of)))
    names = described("metrics.csv")
    assert set().union(*written) == set(names)
    for some in written[:-1]:  # of a translation, the discriminators' comes last
        assert some == [name for name in names if name in some]


def test_it_has_the_columns_of_comparisons(tmp_path):
    run = write_run(tmp_path, "asa", 0.8)
    assert described("comparison.csv") == list(compare([run]).columns)
    assert described("TABLE.csv") == list(collect(FUNDUS, {}, tmp_path).columns)


def test_definitions_are_sentences():
    for column in data_dictionary():
        assert column.definition[0].isupper() or column.name == "status", column
        assert column.definition.endswith("."), column


def test_the_command_prints_a_table_or_json():
    rows = json.loads(CliRunner().invoke(app, ["columns", "--json"]).output)
    assert pd.DataFrame(rows).columns.tolist() == ["table", "name", "unit", "definition"]
    assert len(rows) == len(data_dictionary())
    listed = CliRunner().invoke(app, ["columns"]).output
    assert "| measurements.csv | vertical_cdr " in listed
