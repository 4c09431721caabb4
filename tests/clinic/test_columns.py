"""The data dictionary has what is written, and nothing else."""

import json

import pandas as pd
import pytest
from typer.testing import CliRunner

from cli.main import app
from fundus_uda.clinic.columns import data_dictionary
from fundus_uda.clinic.crops import write_labelled_crops
from fundus_uda.clinic.report.summary import columns
from fundus_uda.clinic.suggest import COLUMNS as SUGGESTED
from fundus_uda.data.datasets import load_samples
from fundus_uda.masks.dice import DICE
from fundus_uda.recipe.adapt import _stages_table
from fundus_uda.segmentation.evaluation import evaluate
from tests.fixtures.seeing import brightness_model


def described(table):
    return [column.name for column in data_dictionary() if column.table == table]


def test_it_has_the_columns_that_are_written_in_their_order(cameras, tmp_path):
    samples = load_samples(f"folder:{cameras / 'a'}")[:2]
    assert described("measurements.csv") == list(columns())
    assert described("crops.csv") == list(write_labelled_crops(samples, tmp_path / "c").columns)
    assert described("dice.csv") == list(evaluate(brightness_model(cameras), samples).columns)
    row = dict.fromkeys(DICE, 0.5)
    assert described("suggested.csv") == list(SUGGESTED)
    assert described("stages.csv") == list(_stages_table([row], has_masks=True).columns)


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
