import json
import threading
from pathlib import Path

import nibabel
import numpy as np
import pandas as pd
import pytest
import skimage
import torch
import typer
from PIL import Image
from torch import nn

from cli.failures import end_with_failed_images
from fundus_uda.clinic.locate import locate_disc
from fundus_uda.clinic.predict import predict
from fundus_uda.clinic.reading import read
from fundus_uda.clinic.report.summary import columns
from fundus_uda.data.synthetic import render
from fundus_uda.errors import InputError
from fundus_uda.segmentation.prediction import outline
from tests.fixtures.dicom import write_dicom
from tests.fixtures.fields import retina, whole_field
from tests.fixtures.seeing import OneSided, brightness_model

BLANK_WITHOUT_DISC = list(columns()[4:])


@pytest.fixture(scope="module")
def model(cameras):
    return brightness_model(cameras)


@pytest.fixture(scope="module")
def clinic(tmp_path_factory):
    """A whole photograph, a crop, a photograph without a disc, a street and a damaged file."""
    folder = tmp_path_factory.mktemp("clinic")
    street = np.full((300, 400, 3), 120, dtype=np.uint8)
    street[:120], street[200:, 100:300] = (170, 190, 220), (90, 90, 95)
    pictures = {"whole": whole_field(2)[0], "crop": render("a", 1, 200)[0],
                "no_disc": retina(1), "street": street}  # fmt: skip
    for name, pixels in pictures.items():
        Image.fromarray(pixels).save(folder / f"{name}.png")
    (folder / "broken.jpg").write_bytes(b"\xff\xd8 no image")
    return folder


@pytest.fixture(scope="module")
def written(model, clinic, tmp_path_factory):
    out = tmp_path_factory.mktemp("written") / "out"
    return out, predict(model, [clinic], out).set_index("image")


def test_the_disc_of_a_whole_photograph_is_measured_at_its_own_size(written):
    out, table = written
    mask = np.asarray(Image.open(out / "masks" / "whole.png"))
    assert mask.shape == (400, 560)
    assert set(np.unique(mask)) == {0, 1, 2}
    rows, columns = np.nonzero(mask)
    assert (rows.mean(), columns.mean()) == pytest.approx((190, 400), abs=5)
    assert table.loc["whole", "disc_height_pixels"] == np.ptp(rows) + 1 == pytest.approx(64, abs=8)
    as_volume = np.asarray(nibabel.load(out / "masks" / "whole.nii.gz").dataobj)
    assert np.array_equal(as_volume[..., 0].T, mask)
    region = table.loc["whole", ["region_top", "region_left", "region_height", "region_width"]]
    top, left, height, width = region.astype(int)
    assert mask[top : top + height, left : left + width].sum() == mask.sum()


def test_a_crop_is_read_whole(written):
    _, table = written
    assert table.loc["crop", "region_is_crop"]
    assert (table.loc["crop", ["region_height", "region_width"]] == 200).all()


def test_the_network_looks_at_a_square_once_as_it_is_and_turned(model, clinic, tmp_path):
    """The looks of the search are those of the outline, too."""
    looks = []
    model.network.register_forward_hook(lambda _, images, __: looks.append(len(images[0])))
    predict(model, [clinic / "whole.png"], tmp_path)
    assert looks == [3]


@pytest.mark.parametrize("name", ["no_disc", "street", "broken"])
def test_what_cannot_be_measured_is_a_row_with_a_reason_and_blanks(written, name):
    out, table = written
    assert table.loc[name, "status"] == ("unreadable" if name == "broken" else "no_disc")
    assert table.loc[name, "reason"].startswith("Expected a")
    assert table.loc[name, BLANK_WITHOUT_DISC].isna().all()
    pictures = [path.relative_to(out) for path in out.rglob("*") if path.stem.startswith(name)]
    assert pictures == ([Path("crops") / "no_disc.jpg"] if name == "no_disc" else [])


def test_tables_have_the_documented_columns_in_csv_and_json(written):
    out, table = written
    assert ["image", *table.columns] == list(columns())
    assert pd.read_csv(out / "measurements.csv").columns.tolist() == list(columns())
    records = json.loads((out / "measurements.json").read_text())
    assert [list(record) for record in records] == [list(columns())] * 5
    by_name = {record["image"]: record for record in records}
    assert by_name["street"]["vertical_cdr"] is None
    assert by_name["whole"]["vertical_cdr"] == pytest.approx(table.loc["whole", "vertical_cdr"])


def test_the_summary_counts(written):
    out, table = written
    summary = json.loads((out / "summary.json").read_text())
    assert (summary["images"], summary["no_disc"], summary["unreadable"]) == (5, 2, 1)
    measured = table.loc[["whole", "crop"]]
    assert summary["estimated_dice"] == pytest.approx(measured["estimated_dice"].mean())
    assert summary["vertical_cdr"]["quantile_50"] == pytest.approx(measured["vertical_cdr"].mean())
    assert sum(summary["flags"].values()) == measured["flags"].str.split().str.len().sum()


def test_pictures_show_the_region_alone(written):
    out, table = written
    side = int(table.loc["whole", "region_height"])
    for picture in ("overlays/whole.jpg", "crops/whole.jpg"):
        assert Image.open(out / picture).size == (side, side)
    assert max(Image.open(out / "affinity" / "whole.png").size) == 64


def test_the_model_before_adaptation_is_compared(model, clinic, written, tmp_path):
    before, _ = written
    table = predict(model, [clinic], tmp_path / "again", before=before).set_index("image")
    measured = table.loc[["crop", "whole"], ["before_dice_cup", "before_dice_disc"]]
    assert (measured == 1).all(axis=None)
    summary = json.loads((tmp_path / "again" / "summary.json").read_text())
    assert summary["before_dice_disc"] == 1


def test_a_disc_that_the_model_before_did_not_see_is_a_disagreement(model, clinic, tmp_path):
    before, after = tmp_path / "before", tmp_path / "after"
    predict(model, [clinic / "crop.png"], before)
    (before / "masks" / "crop.png").unlink()
    (row,) = predict(model, [clinic / "crop.png"], after, before=before).to_dict("records")
    assert (row["before_dice_cup"], row["before_dice_disc"]) == (0, 0)
    assert "models_disagree" in row["flags"].split()


def test_pictures_of_other_things_are_not_measured(cameras, tmp_path):
    """In which the search sees a warm, round thing, and the network an outline that is neither."""
    folder = tmp_path / "in"
    folder.mkdir()
    left, right, _ = skimage.data.stereo_motorcycle()
    others = {"astronaut": skimage.data.astronaut(), "cat": skimage.data.chelsea(),
              "coffee": skimage.data.coffee(), "left": left, "right": right,
              "rocket": skimage.data.rocket(), "moon": skimage.data.moon()}  # fmt: skip
    for name, pixels in others.items():
        Image.fromarray(pixels).save(folder / f"{name}.png")
    table = predict(brightness_model(cameras, OneSided()), [folder], tmp_path / "out")
    assert set(table["status"]) == {"no_disc", "network_unsure"}
    summary = json.loads((tmp_path / "out" / "summary.json").read_text())
    assert summary["no_disc"] + summary["network_unsure"] == 7
    assert table[BLANK_WITHOUT_DISC].isna().all(axis=None)


class SeesAWedge(nn.Module):
    """All disc in a wedge to the left: neither round nor the same in a mirror."""

    def forward(self, image):
        y, x = (torch.linspace(0, 1, length) for length in image.shape[2:])
        disc = (y[:, None] > 2 * x[None]).float().expand(len(image), *image.shape[2:])
        return 20 * torch.stack([1 - disc, disc, torch.zeros_like(disc)], dim=1)


def test_a_network_that_is_unsure_of_a_disc_is_no_missing_disc(cameras, clinic):
    """The search finds the place; another camera's network does not outline a disc there."""
    model = brightness_model(cameras, SeesAWedge())
    out = clinic.parent / "unsure"
    paths = [clinic / "whole.png", clinic / "no_disc.png"]
    rows = predict(model, paths, out).set_index("image")
    assert rows["status"].to_dict() == {"whole": "network_unsure", "no_disc": "no_disc"}
    assert "Adapt the network to this camera with `fundus-uda adapt`." in rows["reason"]["whole"]
    assert rows.loc["whole", BLANK_WITHOUT_DISC].isna().all()
    summary = json.loads((out / "summary.json").read_text())
    assert (summary["no_disc"], summary["network_unsure"]) == (1, 1)
    page = (out / "report.html").read_text(encoding="utf-8")
    assert '<span class="tag bad">network unsure</span>' in page
    assert (out / "crops" / "whole.jpg").is_file()
    with pytest.raises(typer.Exit) as ended:
        end_with_failed_images(rows.reset_index())
    assert ended.value.exit_code == 3


@pytest.mark.parametrize(("spacing", "plausible"), [(0.01, True), (1.0, False), (10.0, False)])
def test_a_spacing_that_cannot_be_true_changes_no_score(model, tmp_path, spacing, plausible):
    pixels = render("a", 1, 200)[0]
    size = {"Rows": 200, "Columns": 200, "ImageLaterality": "R"}
    write_dicom(tmp_path / "a.dcm", pixels, PixelSpacing=[spacing, spacing], **size)
    (row,) = predict(model, [tmp_path / "a.dcm"], tmp_path / "out").to_dict("records")
    assert ("implausible_spacing" in row["flags"].split()) is not plausible
    assert pd.isna(row["ddls_stage"]) is not plausible
    assert pd.isna(row["disc_height_mm"]) is not plausible
    assert row["disc_height_pixels"] > 50
    header = nibabel.load(tmp_path / "out" / "masks" / "a.nii.gz").header
    assert header.get_xyzt_units()[0] == ("mm" if plausible else "unknown")


def test_before_must_be_of_the_same_photographs(model, clinic, written, tmp_path):
    before, _ = written
    for paths, folder, message in (
        ([clinic], tmp_path, "folder that `fundus-uda predict` or `adapt` wrote to its end at"),
        ([clinic / "whole.png"], before, "same photographs in .* Got: 4 that are here or there"),
    ):
        with pytest.raises(InputError, match=message):
            predict(model, paths, tmp_path / "out", before=folder)
    assert not (tmp_path / "out").exists()


def test_a_photograph_is_not_called_unreadable_since_the_one_before_was_another(model, tmp_path):
    for folder, size in (("other", 120), ("these", 200)):
        (tmp_path / folder).mkdir()
        Image.fromarray(render("a", 1, size)[0]).save(tmp_path / folder / "eye.png")
    predict(model, [tmp_path / "other"], tmp_path / "before")
    with pytest.raises(InputError, match="200x200, at .*masks/eye.png. Got: one of 120x120. Give"):
        predict(model, [tmp_path / "these"], tmp_path / "out", before=tmp_path / "before")


def test_a_folder_in_use_is_refused(model, clinic):
    with pytest.raises(InputError, match="new or empty output folder"):
        predict(model, [clinic], clinic)


def test_ids_are_hashed_everywhere(model, clinic, tmp_path):
    table = predict(model, [clinic / "whole.png"], tmp_path, key=b"0123456789abcdef")
    assert len(table["image"][0]) == 16
    assert not [path for path in tmp_path.rglob("*") if "whole" in path.name]


def test_a_crop_with_text_in_it_is_measured_but_not_shown(model, tmp_path):
    pixels = render("a", 1, 200)[0]
    write_dicom(tmp_path / "a.dcm", pixels, Rows=200, Columns=200, BurnedInAnnotation="YES")
    table = predict(model, [tmp_path / "a.dcm"], tmp_path / "out")
    assert "text_in_pixels" in table["flags"][0].split()
    assert table["vertical_cdr"].notna().all()
    assert not list((tmp_path / "out" / "crops").iterdir())
    assert not list((tmp_path / "out" / "overlays").iterdir())


def test_reading_goes_on_while_the_network_is_busy(model, clinic, tmp_path, monkeypatch):
    have_read = threading.Semaphore(0)

    def read_and_tell(source):
        have_read.release()
        return read(source)

    def wait_for_all(*arguments, **options):
        waited.append(waited != [] or all(have_read.acquire(timeout=10) for _ in range(4)))
        return outline(*arguments, **options)

    waited: list[bool] = []
    monkeypatch.setattr("fundus_uda.clinic.predict.read", read_and_tell)
    monkeypatch.setattr("fundus_uda.clinic.outlining.outline", wait_for_all)
    listed = [f"{name},{clinic / 'crop.png'}" for name in "abcd"]
    (tmp_path / "list.csv").write_text("\n".join(["id,path", *listed]))
    predict(model, [tmp_path / "list.csv"], tmp_path / "out")
    assert waited == [True] * 4


def test_a_photograph_that_nobody_foresaw_is_a_row(cameras, tmp_path, monkeypatch):
    def fails_on_the_first(pixels, segment):
        if pixels.shape[0] == 50:
            raise RuntimeError("of a library, about /home/Mustermann")
        return locate_disc(pixels, segment)

    monkeypatch.setattr("fundus_uda.clinic.outlining.locate_disc", fails_on_the_first)
    folder = tmp_path / "in"
    folder.mkdir()
    Image.new("RGB", (50, 50), "red").save(folder / "odd.png")
    Image.fromarray(render("a", 1, 200)[0]).save(folder / "eye.png")
    table = predict(brightness_model(cameras), [folder], tmp_path / "out")
    rows = table.set_index("image")
    assert rows["status"]["odd"] == "unreadable"
    assert rows["reason"]["odd"].endswith("Got: one that led to RuntimeError.")
    assert rows["status"]["eye"] in ("ok", "flagged")
