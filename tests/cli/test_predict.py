"""`fundus-uda predict` on what a clinic has."""

import json

import nibabel
import numpy as np
import pandas as pd
import pytest
from PIL import Image
from typer.testing import CliRunner

from cli.main import app, run
from fundus_uda import weights
from fundus_uda.errors import InputError
from tests.fixtures.dicom import write_dicom
from tests.fixtures.fields import whole_field
from tests.fixtures.seeing import run_predict


def test_a_dicom_becomes_measurements_in_millimetres(cameras, tmp_path, monkeypatch, capsys):
    write_dicom(
        tmp_path / "eye.dcm", whole_field(2)[0], Rows=400, Columns=560,
        PixelSpacing=[0.025, 0.02], ImageLaterality="L",
    )  # fmt: skip
    out = tmp_path / "out"
    assert run_predict(monkeypatch, cameras, tmp_path / "eye.dcm", "--out", out) == 0
    assert f"See {out / 'report.html'}" in capsys.readouterr().out.replace("\n", "")
    (row,) = pd.read_csv(out / "measurements.csv").to_dict("records")
    mask = np.asarray(Image.open(out / "masks" / "eye.png"))
    rows, columns = np.nonzero(mask)
    assert row["disc_height_mm"] == pytest.approx(0.025 * (np.ptp(rows) + 1))
    assert row["disc_width_mm"] == pytest.approx(0.02 * (np.ptp(columns) + 1))
    assert row["disc_area_mm2"] == pytest.approx(0.025 * 0.02 * len(rows))
    assert 1.2 < row["disc_height_mm"] < 2.0  # 64 pixels of 0.025
    assert row["rim_nasal_mm"] > 0  # of a left eye
    assert 1 <= row["ddls_stage"] <= 10
    volume = nibabel.load(out / "masks" / "eye.nii.gz")
    assert volume.header.get_zooms()[:2] == pytest.approx((0.02, 0.025))
    (record,) = json.loads((out / "measurements.json").read_text())
    assert record["disc_height_mm"] == pytest.approx(row["disc_height_mm"])


def test_without_a_model_the_network_that_comes_along_outlines(
    seeing_run, cameras, tmp_path, monkeypatch
):
    monkeypatch.setattr(weights, "RENDERED", seeing_run / "last.pt")
    photograph = sorted((cameras / "a" / "images").iterdir())[0]
    command = ["predict", str(photograph), "--out", str(tmp_path / "out")]
    result = CliRunner().invoke(app, command)
    assert result.exit_code in (0, 3), result.output
    assert "learnt from rendered eyes alone" in " ".join(result.output.split())
    summary = json.loads((tmp_path / "out" / "summary.json").read_text())
    assert summary["model"]["method"] == "source"


@pytest.mark.parametrize(
    ("key", "message"),
    [(b"short", "key of at least 16 bytes"), (None, "file with the key at")],
)
def test_a_weak_or_absent_key_is_refused(cameras, tmp_path, monkeypatch, capsys, key, message):
    if key is not None:
        (tmp_path / "key").write_bytes(key)
    code = run_predict(monkeypatch, cameras, tmp_path, "--key-file", tmp_path / "key")
    assert code == 2
    assert message in capsys.readouterr().err


def test_report_is_written_anew_against_a_reference(cameras, tmp_path, monkeypatch):
    out = tmp_path / "out"
    assert run_predict(monkeypatch, cameras, cameras / "a" / "images", "--out", out) in (0, 3)
    page = tmp_path / "page.html"
    command = ["report", str(out), "--reference", f"folder:{cameras / 'a'}", "--out", str(page)]
    result = CliRunner().invoke(app, command)
    assert result.exit_code == 0, result.output
    assert "Bland-Altman" in page.read_text(encoding="utf-8")
    scored = json.loads(page.with_suffix(".json").read_text())["after"]["scores"]
    assert 1 <= scored["images"] <= 8


def test_report_reads_reviews_back_and_refuses_bad_ones(cameras, tmp_path, monkeypatch):
    out, reviews = tmp_path / "out", tmp_path / "reviews.csv"
    name = sorted((cameras / "a" / "images").iterdir())[0]
    run_predict(monkeypatch, cameras, name, "--out", out)
    reviews.write_text(f"image,review,comment\n{name.stem},accept,\n")
    command = ["report", str(out), "--reviewed", str(reviews)]
    assert CliRunner().invoke(app, command).exit_code == 0
    assert pd.read_csv(out / "report.csv")["review"].tolist() == ["accept"]
    reviews.write_text("image,review,comment\nanother,accept,\n")
    refused = CliRunner().invoke(app, command)
    assert isinstance(refused.exception, InputError)
    assert "an image that is not in the report, in line 2" in str(refused.exception)


def test_report_of_another_folder_is_refused(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["fundus-uda", "report", str(tmp_path)])
    with pytest.raises(SystemExit) as ended:
        run()
    assert ended.value.code == 2
    told = capsys.readouterr().err
    assert "folder that `fundus-uda predict` or `adapt` wrote" in told
    assert "without measurements.csv" in told
