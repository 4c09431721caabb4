"""The choice of photographs to outline, and the folder for the editor."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from typer.testing import CliRunner

from cli.main import app
from fundus_uda.clinic.suggest import COLUMNS, most_doubtful, suggest
from fundus_uda.data.datasets import list_samples
from fundus_uda.data.outlined import SUGGESTED
from fundus_uda.errors import InputError
from fundus_uda.masks.labelme import read_mask_labelme
from fundus_uda.segmentation.model import load_model
from tests.fixtures.dicom import eye, write_dicom


@pytest.fixture(scope="module")
def model(seeing_run):
    return load_model(seeing_run, torch.device("cpu"))


def test_the_most_doubtful_of_small_and_of_large_cups_are_chosen():
    table = pd.DataFrame(
        {
            "image": list("abcdef"),
            "doubt": [0.9, 0.8, 0.1, 0.2, 1.0, 0.3],
            "vertical_cdr": [0.3, 0.2, 0.7, 0.8, np.nan, 0.9],
        }
    )
    assert most_doubtful(table, 2) == [4, 0]  # not b, which has a cup like a's
    assert most_doubtful(table, 3) == [4, 0, 3]
    assert sorted(most_doubtful(table, 6)) == [0, 1, 2, 3, 4, 5]


def test_the_folder_is_ready_for_an_editor(model, cameras, tmp_path):
    photographs = [cameras / "b" / "images"]
    table = suggest(model, photographs, tmp_path / "out", 2, before=model)
    assert table.columns.tolist() == list(COLUMNS)
    assert table["models_dice"].tolist() == [1, 1]
    assert table["doubt"].tolist() == pytest.approx(((1 - table["estimated_dice"]) / 2).tolist())
    assert pd.read_csv(tmp_path / "out" / SUGGESTED)["image"].tolist() == table["image"].tolist()
    for id_ in table["image"]:
        mask = np.asarray(Image.open(tmp_path / "out" / "masks" / f"{id_}.png"))
        drawn, _ = read_mask_labelme(tmp_path / "out" / "images" / f"{id_}.json")
        assert mask.any()
        assert (drawn != mask).mean() < 0.02
        photograph = np.asarray(Image.open(tmp_path / "out" / "images" / f"{id_}.png"))
        assert photograph.tolist() == _pixels(cameras / "b" / "images" / f"{id_}.png")
    assert f"--outlined {tmp_path / 'out'}" in (tmp_path / "out" / "README.txt").read_text()
    with pytest.raises(InputError, match="none that was changed or accepted"):
        list_samples(f"outlined:{tmp_path / 'out'}")


def test_masks_of_readers_are_not_read(model, cameras, tmp_path):
    folders = [cameras / "b", tmp_path / "bare"]
    (tmp_path / "bare").mkdir()
    for file in (cameras / "b" / "images").iterdir():
        (tmp_path / "bare" / file.name).write_bytes(file.read_bytes())
    chosen = [
        suggest(model, [Path(f"folder:{folder}")], tmp_path / f"out{number}", 3)
        for number, folder in enumerate(folders)
    ]
    pd.testing.assert_frame_equal(*chosen)


def test_photographs_that_may_name_a_patient_are_left_out(model, cameras, tmp_path, capsys):
    pixels = np.array(_pixels(cameras / "b" / "images" / "b0000.png"), np.uint8)
    (tmp_path / "photos").mkdir()
    write_dicom(tmp_path / "photos" / "eye.dcm", eye(), BurnedInAnnotation="YES")
    (tmp_path / "photos" / "broken.png").write_bytes(b"no image")
    Image.fromarray(pixels).save(tmp_path / "photos" / "fine.png")
    table = suggest(model, [tmp_path / "photos"], tmp_path / "out", 1)
    assert table["image"].tolist() == ["fine"]
    assert "Left out, since no disc is found or shown in them: 2" in capsys.readouterr().err
    with pytest.raises(InputError, match="at least 2 photographs .* Got: 1 of 3. Lower --count"):
        suggest(model, [tmp_path / "photos"], tmp_path / "other", 2)
    assert not (tmp_path / "other").exists()


def _pixels(path):
    return np.asarray(Image.open(path).convert("RGB")).tolist()


def test_the_command_needs_photographs_beside_a_run(seeing_run, cameras, tmp_path):
    alone = CliRunner().invoke(app, ["suggest", str(seeing_run), "--out", str(tmp_path / "out")])
    assert isinstance(alone.exception, InputError)
    assert "Expected photographs behind MODEL" in str(alone.exception)
    given = [str(seeing_run), str(cameras / "b" / "images"), "--out", str(tmp_path / "out")]
    told = CliRunner().invoke(app, ["suggest", *given, "--count", "1"])
    assert told.exit_code == 0, told.output
    assert f"Wrote 1 photographs and their outlines to {tmp_path / 'out'}" in told.output
    refused = CliRunner().invoke(app, ["suggest", *given, "--count", "2"])
    assert "add --overwrite" in str(refused.exception)
    anew = CliRunner().invoke(app, ["suggest", *given, "--count", "2", "--overwrite"])
    assert f"Wrote 2 photographs and their outlines to {tmp_path / 'out'}" in anew.output
    min((tmp_path / "out" / "masks").iterdir()).write_bytes(b"corrected")
    refused = CliRunner().invoke(app, ["suggest", *given, "--count", "1", "--overwrite"])
    assert "which was added or changed since" in str(refused.exception)
