import json
import re
import shutil

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from fundus_uda.clinic.predict import predict
from fundus_uda.clinic.report.numbers import read_predictions, score_summary, scores
from fundus_uda.clinic.report.page import write_report
from fundus_uda.data.datasets import load_samples
from fundus_uda.errors import InputError
from tests.fixtures.seeing import brightness_model


def test_the_page_needs_no_other_file(page):
    text = page.read_text(encoding="utf-8")
    uris = re.findall(r'(?:href|src)="([^"]*)"', text)
    assert len(uris) == 1 + 2 * 4 + 1  # icon; photograph and affinity of four; no disc
    assert [a for a in uris if not a.startswith("data:")] == []
    assert "http" not in text
    assert "url(" not in text
    assert "Not a medical device" in text


def test_ids_are_text_and_not_markup(page):
    text = page.read_text(encoding="utf-8")
    assert "R&amp;D &lt;b&gt;" in text
    assert "R&D <b>" not in text


def test_predict_writes_a_report_by_itself(run):
    text = (run / "after" / "report.html").read_text(encoding="utf-8")
    assert "beside Source only before adaptation" in text
    assert 'data-hides="no-reference"' not in text


def test_the_model_before_is_remembered(run, tmp_path):
    shutil.copytree(run / "before", tmp_path / "before")
    shutil.copytree(run / "after", tmp_path / "predictions")
    (tmp_path / "stages.csv").write_text("stage\n")  # as `adapt` leaves it
    for folder in (tmp_path / "predictions", tmp_path):
        page = write_report(folder)
        assert page == tmp_path / "predictions" / "report.html"
        assert "beside Source only before adaptation" in page.read_text(encoding="utf-8")


def test_figures_stand_beside_the_page(run, page):
    table = pd.read_csv(page.with_suffix(".csv"))
    written = pd.read_csv(run / "after" / "measurements.csv")
    added = ["before_vertical_cdr", "before_estimated_dice", "dice_cup", "dice_disc", "dice_mean",
             "vertical_cdr_reference", "vertical_cdr_refuge_reference", "before_reference_dice_cup",
             "before_reference_dice_disc",
             "before_reference_dice_mean"]  # fmt: skip
    assert table.columns.tolist() == [*written.columns, *added]
    measured = table[table["status"].isin(["ok", "flagged"])]
    assert len(measured) == 4
    figures = json.loads(page.with_suffix(".json").read_text())
    after = figures["after"]
    assert after["scores"]["dice_mean"]["mean"] == pytest.approx(measured["dice_mean"].mean())
    error = (measured["vertical_cdr"] - measured["vertical_cdr_reference"]).abs().mean()
    assert after["scores"]["vertical_cdr_error"] == pytest.approx(error)
    assert figures["before"]["scores"] == after["scores"]  # the same model
    assert after["set"]["no_disc"] == 1


def test_scores_are_those_of_masks_that_are_the_reference(run, tmp_path):
    after = read_predictions(run / "after")
    (tmp_path / "images").mkdir()
    shutil.copytree(run / "after" / "masks", tmp_path / "masks")
    for path in (run / "data" / "images").iterdir():
        shutil.copy(path, tmp_path / "images")
    table = scores(after, load_samples(f"folder:{tmp_path}"))
    assert (table[["dice_cup", "dice_disc", "dice_mean"]] == 1).all(axis=None)
    assert table["vertical_cdr"].tolist() == table["vertical_cdr_reference"].tolist()


def test_a_photograph_in_which_no_disc_was_found_scores_0(run, tmp_path):
    (tmp_path / "masks").mkdir()
    shutil.copytree(run / "paths", tmp_path / "images")
    for path in (tmp_path / "images").iterdir():
        with Image.open(path) as opened:
            mask = np.ones(opened.size[::-1], dtype=np.uint8)
        Image.fromarray(mask).save(tmp_path / "masks" / f"{path.stem}.png")
    table = scores(read_predictions(run / "after"), load_samples(f"folder:{tmp_path}"))
    without = table.set_index("image").loc["R&D <b>"]
    assert (without["dice_disc"], len(table)) == (0, 5)
    assert np.isnan(without["vertical_cdr"])
    for file in (tmp_path / "masks").iterdir():
        disc_alone = np.asarray(Image.open(file)).copy()
        disc_alone[: len(disc_alone) // 2] = 2
        Image.fromarray(disc_alone).save(file)
    page = write_report(
        run / "after", reference=load_samples(f"folder:{tmp_path}"), out=tmp_path / "r.html"
    )
    told = json.loads(page.with_suffix(".json").read_text())["after"]["scores"]
    assert (told["images"], told["vertical_cdr_images"]) == (5, 4)
    found = [abs(row - 0.5) for row in pd.read_csv(run / "after" / "measurements.csv")
             ["vertical_cdr_refuge"].dropna()]  # fmt: skip
    assert told["vertical_cdr_refuge_error"] == pytest.approx((sum(found) + 0.5) / 5)
    text = page.read_text(encoding="utf-8")
    assert "4 of 5" in text
    assert "Error as REFUGE counts, with 0 where no disc is found" in text


def test_a_reference_of_discs_alone_scores_no_cup(run, tmp_path):
    shutil.copytree(run / "data", tmp_path / "data")
    for file in (tmp_path / "data" / "masks").iterdir():
        mask = np.asarray(Image.open(file))
        Image.fromarray((mask > 0).astype(np.uint8)).save(file)
    samples = load_samples(f"folder:{tmp_path / 'data'}")
    page = write_report(run / "after", run / "before", samples, tmp_path / "report.html")
    told = json.loads(page.with_suffix(".json").read_text())["after"]["scores"]
    for name in ("dice_cup", "dice_mean"):
        assert told[name] == {"mean": None, "std": None, "ci95": None, "n": 0}
    assert told["dice_disc"]["mean"] > 0.5
    assert told["vertical_cdr_error"] is told["vertical_cdr_refuge_error"] is None
    assert told["vertical_cdr_images"] == 0


def test_a_note_is_at_the_top_of_the_page(cameras, tmp_path):
    model, photograph = brightness_model(cameras), cameras / "a" / "images"
    predict(model, [photograph], tmp_path / "out", note="The last stage <collapsed>.")
    text = (tmp_path / "out" / "report.html").read_text()
    assert '<p class="notice">The last stage &lt;collapsed&gt;.</p>' in text


@pytest.mark.parametrize("name", ["page.csv", "page", "summary.html", "measurements.html"])
def test_a_page_that_would_take_another_files_place_is_refused(run, name):
    before = (run / "after" / "measurements.csv").read_bytes()
    with pytest.raises(InputError, match=r"Expected --out to end in .html, and not to be named"):
        write_report(run / "after", out=run / "after" / name)
    assert (run / "after" / "measurements.csv").read_bytes() == before


def test_limits_of_agreement_are_bland_and_altmans():
    table = pd.DataFrame({"vertical_cdr": [0.5, 0.6, 0.8], "vertical_cdr_reference": 0.5})
    table[["dice_cup", "dice_disc", "dice_mean"]] = 0.9
    table[["vertical_cdr_refuge", "vertical_cdr_refuge_reference"]] = 0.5
    summary = score_summary(table)
    differences = np.array([0.0, 0.1, 0.3])
    spread = 1.96 * differences.std(ddof=1)
    assert summary["vertical_cdr_bias"] == pytest.approx(0.4 / 3)
    assert summary["vertical_cdr_error"] == pytest.approx(0.4 / 3)
    assert summary["vertical_cdr_limits"] == pytest.approx([0.4 / 3 - spread, 0.4 / 3 + spread])
    assert score_summary(table[:1])["vertical_cdr_limits"] is None


def test_wrong_folders_are_named(run, cameras, tmp_path):
    with pytest.raises(InputError, match="`fundus-uda predict` wrote at .*Got: FileNotFound"):
        write_report(tmp_path)
    predict(brightness_model(cameras), [run / "paths" / "a0000.png"], tmp_path / "one")
    with pytest.raises(InputError, match="same photographs in .* Got: 4 that are"):
        write_report(run / "after", tmp_path / "one")
    with pytest.raises(InputError, match="names are those of the photographs.*Got: none of the 6"):
        write_report(run / "after", None, load_samples(f"folder:{cameras / 'b'}"))
