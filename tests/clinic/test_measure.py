import shutil

import nibabel
import numpy as np
import pandas as pd
import pytest
import typer
from PIL import Image
from typer.testing import CliRunner

from cli import measure as measure_command
from fundus_uda.clinic.measure import measure_files
from fundus_uda.errors import InputError
from fundus_uda.masks.measurements import measure
from fundus_uda.masks.nifti import write_mask_nifti
from tests.fixtures.shapes import ellipses


@pytest.fixture
def masks(tmp_path):
    folder = tmp_path / "masks"
    folder.mkdir()
    mask = ellipses(disc=(80, 60), cup=(40, 15))
    Image.fromarray(mask).save(folder / "classes.png")
    levels = np.array([255, 128, 0], dtype=np.uint8)
    Image.fromarray(levels[mask]).save(folder / "refuge.bmp")
    return folder


def test_both_encodings_measure_the_same(masks):
    table = measure_files([masks], spacing_mm=(0.01, 0.01), laterality="R")
    assert table["image"].tolist() == ["classes", "refuge"]
    assert table["status"].tolist() == ["ok", "ok"]
    assert table["vertical_cdr"].tolist() == pytest.approx([0.5, 0.5])
    assert table["horizontal_cdr"].tolist() == pytest.approx([0.25, 0.25])
    assert table["disc_height_mm"].tolist() == pytest.approx([1.6, 1.6])
    assert table["ddls_stage"].notna().all()
    assert table["isnt_rule"].tolist() == [False, False]


@pytest.mark.parametrize(
    ("words", "eye"), [(("R", "OD", "right", "od", "RE"), "R"), (("L", "OS", "Left", "LE"), "L")]
)
def test_the_eye_goes_by_several_words(masks, words, eye):
    expected = [measure(ellipses(disc=(80, 60), cup=(40, 15)), laterality=eye)["rim_nasal_ratio"]]
    for word in words:
        table = measure_files([masks / "classes.png"], laterality=word)
        assert table["rim_nasal_ratio"].tolist() == pytest.approx(expected)


def test_a_mask_that_cannot_be_read_is_a_row_and_the_rest_is_done(masks):
    (masks / "broken.png").write_bytes(b"no image")
    Image.fromarray(np.full((4, 4), 77, dtype=np.uint8)).save(masks / "values.png")
    table = measure_files([masks]).set_index("image")
    assert table["status"].to_dict() == {
        "broken": "unreadable", "classes": "ok", "refuge": "ok", "values": "unreadable",
    }  # fmt: skip
    assert "mask values 0 background" in table["reason"]["values"]
    assert np.isnan(table["vertical_cdr"]["broken"])
    assert table["vertical_cdr"]["classes"] == pytest.approx(0.5)


@pytest.mark.parametrize("spacing", [(0.02, 0.01), None])
def test_nifti_measures_as_the_image_that_it_was_written_from(tmp_path, spacing):
    mask = ellipses(disc=(80, 60), cup=(40, 15), cup_shift=(10, 5))
    write_mask_nifti(mask, tmp_path / "a.b.nii.gz", spacing)
    (tmp_path / "broken.nii").write_bytes(b"no mask")
    first, second = measure_files([tmp_path], laterality="R").to_dict("records")
    expected = measure(mask, spacing, "R")
    assert (first["image"], first["status"]) == ("a.b", "ok")
    assert {name: first[name] for name in expected} == pytest.approx(expected, nan_ok=True)
    assert second["reason"].startswith("Expected a NIfTI mask at broken.nii. Got: ")


@pytest.mark.parametrize("stated", ["argument", "file"])
def test_a_spacing_that_cannot_be_true_is_said_and_not_used(tmp_path, stated):
    spacing = (1.0, 1.0)  # a converter's default
    write_mask_nifti(ellipses(disc=(80, 60), cup=(40, 15)), tmp_path / "a.nii.gz", spacing)
    given = spacing if stated == "argument" else None
    (row,) = measure_files([tmp_path], given, "R").to_dict("records")
    assert row["status"] == "ok"
    assert row["reason"].startswith("Expected a spacing by which the disc is 0.8 to 3.5 mm high")
    assert np.isnan(row["disc_height_mm"])
    assert np.isnan(row["ddls_stage"])
    assert row["vertical_cdr"] == pytest.approx(0.5)


def test_a_volume_without_voxels_is_a_row_and_the_table_has_all_columns(tmp_path):
    empty = nibabel.Nifti1Image(np.zeros((0, 4, 1), np.uint8), np.eye(4))
    nibabel.save(empty, tmp_path / "a.nii.gz")
    table = measure_files([tmp_path])
    assert table["status"].tolist() == ["unreadable"]
    assert table.columns.tolist()[3:] == list(measure(np.zeros((1, 1), np.uint8)))


def test_a_mask_that_is_there_as_both_is_measured_once(masks):
    write_mask_nifti(ellipses(disc=(80, 60)), masks / "classes.nii.gz")
    assert measure_files([masks])["image"].tolist() == ["classes", "refuge"]


@pytest.mark.parametrize(
    ("path", "arguments", "message"),
    [
        ("none", {}, "a mask or a folder of masks at .*none. Got: nothing"),
        ("empty", {}, "Expected masks in .*empty. Got: none"),
        ("masks", {"spacing_mm": (0.01, -1.0)}, "spacing above 0 mm"),
        ("masks", {"laterality": "both"}, "OD, OS, R, L, right or left. Got: 'both'"),
    ],
)
def test_wrong_use_is_refused(masks, path, arguments, message):
    (masks.parent / "empty").mkdir()
    with pytest.raises(InputError, match=message):
        measure_files([masks.parent / path], **arguments)


def test_an_empty_nifti_file_is_a_row(masks):
    (masks / "cut_off.nii.gz").touch()
    nibabel.save(nibabel.Nifti1Image(np.zeros((0, 5, 1), np.uint8), np.eye(4)), masks / "zero.nii")
    table = measure_files([masks]).set_index("image")
    assert len(table) == 4
    assert (table["status"] == "unreadable").sum() == 2
    for name in ("cut_off.nii.gz", "zero.nii"):
        assert name in table.loc[name.partition(".")[0], "reason"]


def test_masks_of_one_name_are_refused(masks, tmp_path):
    shutil.copytree(masks, tmp_path / "of_another_reader")
    with pytest.raises(InputError, match="masks of different names, .* Got: .* and .*another_read"):
        measure_files([masks, tmp_path / "of_another_reader"])


@pytest.fixture
def run():
    app = typer.Typer()
    app.command()(measure_command.command)
    return lambda *arguments: CliRunner().invoke(app, [str(a) for a in arguments])


def test_the_command_writes_a_csv(run, masks, tmp_path):
    out = tmp_path / "results" / "table.csv"
    ended = run(masks, "--out", out, "--spacing", 0.02, 0.01, "--laterality", "L")
    assert ended.exit_code == 0, ended.output
    assert "Wrote the measurements of 2 masks" in ended.output
    table = pd.read_csv(out)
    assert table["disc_height_mm"].tolist() == pytest.approx([3.2, 3.2])
    assert table["disc_width_mm"].tolist() == pytest.approx([1.2, 1.2])
    assert table["rim_nasal_mm"].notna().all()


def test_the_command_counts_failures_and_ends_with_3(run, masks, tmp_path):
    (masks / "broken.png").write_bytes(b"no image")
    ended = run(masks, "--out", tmp_path / "table.csv")
    assert ended.exit_code == 3
    assert "1 could not be measured" in ended.output
    assert "broken" in ended.output
    assert len(pd.read_csv(tmp_path / "table.csv")) == 3


def test_columns_may_have_the_names_of_automorph(masks, tmp_path):
    out = tmp_path / "automorph.csv"
    app = typer.Typer()
    app.command()(measure_command.command)
    told = CliRunner().invoke(app, [str(masks), "--out", str(out), "--names", "automorph"])
    assert told.exit_code == 0, told.output
    table = pd.read_csv(out)
    assert table.columns.tolist() == [
        "Name", "Disc_height", "Disc_width", "Cup_height", "Cup_width", "CDR_vertical",
        "CDR_horizontal",
    ]  # fmt: skip
    assert table.loc[0].tolist() == ["classes", 160, 120, 80, 30, 0.5, 0.25]
