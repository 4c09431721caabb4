import base64
import io
import json
import re
import shutil
from urllib.parse import unquote

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from fundus_uda.clinic.columns import data_dictionary
from fundus_uda.clinic.predict import predict
from fundus_uda.clinic.report import cards
from fundus_uda.clinic.report import page as page_module
from fundus_uda.clinic.report.cards import to_check_first
from fundus_uda.clinic.report.numbers import (
    read_predictions,
    reference_to,
    score_summary,
    scores,
)
from fundus_uda.clinic.report.page import write_report
from fundus_uda.clinic.report.reviews import read_reviews
from fundus_uda.data.datasets import load_samples
from fundus_uda.errors import InputError
from fundus_uda.segmentation.quality import FLAGS
from tests.fixtures.dicom import write_dicom
from tests.fixtures.fields import whole_field
from tests.fixtures.seeing import brightness_model


def test_the_page_needs_no_other_file(page):
    text = page.read_text(encoding="utf-8")
    uris = re.findall(r'(?:href|src)="([^"]*)"', text)
    links = [uri for uri in uris if uri.startswith("#flag-")]
    data = [uri for uri in uris if uri.startswith("data:")]
    assert len(data) == 1 + 2 * 4 + 1  # icon; photograph and affinity of four; no disc
    assert len(uris) == len(links) + len(data)
    assert all(f'id="{link[1:]}"' in text for link in links)
    assert "http" not in text
    assert "url(" not in text
    assert "Not a medical device" in text


def test_the_pictures_of_many_photographs_stay_beside_the_page(run, page, tmp_path, monkeypatch):
    monkeypatch.setattr(cards, "EMBEDDED_AT_MOST", 2)
    monkeypatch.setattr(page_module, "EMBEDDED_AT_MOST", 2)
    large = write_report(run / "after", out=tmp_path / "sub" / "large #1.html")
    text = large.read_text(encoding="utf-8")
    assert text.count("data:") == 1  # the icon
    others = json.loads(re.search(r'id="others">(.*?)</script>', text, re.DOTALL)[1])
    assert len(others) == 3
    everything = text + "".join(card["html"] for card in others)
    places = set(re.findall(r'href="([^"#][^"]*\.jpg)"', everything))
    pictures = {(large.parent / unquote(place)).resolve() for place in places}
    assert len(pictures) == 5 + 4
    assert all(picture.is_file() for picture in pictures)
    assert {p for p in pictures if p.parent.name == "large #1_affinity"} == set(
        (large.parent / "large #1_affinity").resolve().iterdir()
    )
    assert max(len(card["html"]) for card in others) < 6000


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


def test_a_folder_that_may_be_named_after_a_patient_is_not_remembered(run, tmp_path, capsys):
    shutil.copytree(run / "before", tmp_path / "Mustermann")
    shutil.copytree(run / "after", tmp_path / "after")
    summary = json.loads((run / "after" / "summary.json").read_text())
    assert summary["before"] == "../before"
    read = read_predictions(tmp_path / "after")
    summary["before"] = reference_to(tmp_path / "Mustermann", tmp_path / "after")
    assert re.fullmatch("[0-9a-f]{64}", summary["before"])
    (tmp_path / "after" / "summary.json").write_text(json.dumps(summary))
    page = write_report(tmp_path / "after")
    assert "to show both, give its folder as --before" in capsys.readouterr().err
    assert "before adaptation" not in page.read_text(encoding="utf-8")
    assert read.before == tmp_path / "after" / "../before"
    page = write_report(tmp_path / "after", tmp_path / "Mustermann")
    assert "beside Source only before adaptation" in page.read_text(encoding="utf-8")


def test_figures_stand_beside_the_page(run, page):
    table = pd.read_csv(page.with_suffix(".csv"))
    written = pd.read_csv(run / "after" / "measurements.csv")
    added = ["before_vertical_cdr", "before_estimated_dice", "dice_cup", "dice_disc", "dice_mean",
             "vertical_cdr_reference", "vertical_cdr_refuge_reference", "before_reference_dice_cup",
             "before_reference_dice_disc",
             "before_reference_dice_mean"]  # fmt: skip
    assert table.columns.tolist() == [*written.columns, *added]
    described = [column.name for column in data_dictionary() if column.table == "report.csv"]
    assert described == [*table.columns, "review", "comment"]
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


def test_those_to_check_come_first_whatever_their_status_is_called(run):
    table = read_predictions(run / "after").table[["image", "flags", "estimated_dice"]][:5]
    table = table.assign(
        status=["ok", "flagged", "no_disc", "flagged", "of tomorrow"],
        flags=["", "dark", "", "dark noisy", ""],
        estimated_dice=[0.1, 0.5, np.nan, 0.9, np.nan],
    )
    assert to_check_first(table).index.tolist() == [3, 1, 2, 4, 0]


def test_flags_are_explained_where_they_stand_and_in_a_table(page):
    text = page.read_text(encoding="utf-8")
    flag = FLAGS["low_affinity"]
    assert f'title="{flag.limit} {flag.advice}">low affinity</a>' in text
    assert f"<td>{flag.limit}</td><td>{flag.advice}</td>" in text


def greys(page):
    """The affinity maps of a page."""
    found = re.findall(
        r'class="affinity"[^>]*href="data:image/jpeg;base64,([^"]*)"', page.read_text()
    )
    return [np.asarray(Image.open(io.BytesIO(base64.b64decode(url)))) for url in found]


def test_affinity_maps_share_one_scale_that_the_page_states(run, page, tmp_path):
    folder = tmp_path / "after"
    shutil.copytree(run / "after", folder)
    table = read_predictions(folder).table
    some = table.loc[table["status"] == "flagged", "image"].tolist()
    values = np.linspace(0.98, 1, 100, dtype=np.float32).reshape(10, 10)
    for image in some:
        levels = np.full((10, 10), 65535) if image != some[0] else values * 65535
        Image.fromarray(levels.astype(np.uint16)).save(folder / "affinity" / f"{image}.png")
    maps = greys(write_report(folder, run / "before"))
    assert len(maps) == len(some)
    assert min(map_HW.min() for map_HW in maps) < 8
    assert sum(map_HW.min() > 240 for map_HW in maps) == len(some) - 1  # not each its own scale
    assert 'Affinity map, 0.980 <span class="swatch scale">' in (folder / "report.html").read_text()


def test_the_network_is_said_to_have_learnt_from_kinds_of_data_alone(run, cameras):
    text = (run / "after" / "report.html").read_text()
    model = json.loads((run / "after" / "summary.json").read_text())["model"]
    assert (model["labelled"], model["goes_on"]) == ("folder", False)
    assert "learnt from labelled photographs (folder)" in text
    assert str(cameras) not in text + json.dumps(model)


def test_rendered_eyes_are_not_called_photographs(run, tmp_path):
    shutil.copytree(run / "after", tmp_path / "after")
    file = tmp_path / "after" / "summary.json"
    file.write_text(file.read_text().replace('"labelled": "folder"', '"labelled": "rendered"'))
    text = write_report(tmp_path / "after", run / "before").read_text(encoding="utf-8")
    assert "learnt from rendered eyes" in text


def test_intervals_are_spoken_of_where_there_are_some(run, page):
    assert "Intervals are of" in page.read_text()
    assert "Intervals" not in (run / "after" / "report.html").read_text()


def test_means_before_and_after_are_of_the_photographs_that_both_measured(run, tmp_path):
    for name in ("before", "after"):
        shutil.copytree(run / name, tmp_path / name)
    file = tmp_path / "before" / "measurements.csv"
    table = pd.read_csv(file, keep_default_na=False, dtype=str)
    assert table["status"].tolist() == ["no_disc"] + ["flagged"] * 4
    table.loc[1, "status"] = "no_disc"
    table.loc[1, "flags":] = ""
    table.loc[2, "estimated_dice"] = "0.1"
    table.to_csv(file, index=False)
    page = write_report(tmp_path / "after", tmp_path / "before")
    found = json.loads(page.with_suffix(".json").read_text())
    own = pd.read_csv(tmp_path / "after" / "measurements.csv")["estimated_dice"]
    both = own[2:]
    assert found["after"]["common"]["images"] == found["before"]["common"]["images"] == 3
    assert found["after"]["common"]["set"]["estimated_dice"] == pytest.approx(both.mean())
    assert found["after"]["set"]["estimated_dice"] == pytest.approx(own.mean())
    text = page.read_text()
    assert f"<td>{np.mean([0.1, own[3], own[4]]):.3f}</td><td>{both.mean():.3f}</td></tr>" in text
    assert "are of the 3 photographs" in text
    assert "vCDR) of the 3 photographs that both measured" in text


def test_the_eye_the_rim_and_the_place_are_shown_where_they_are_known(cameras, tmp_path):
    (tmp_path / "in").mkdir()
    for name in ("whole_OD", "whole_OS", "whole"):
        Image.fromarray(whole_field(2)[0]).save(tmp_path / "in" / f"{name}.png")
    table = predict(brightness_model(cameras), [tmp_path / "in"], tmp_path / "out")
    by_name = table.set_index("image")
    assert by_name["laterality"].fillna("").tolist() == ["", "R", "L"]
    assert (
        by_name.loc["whole_OD", "rim_nasal_ratio"] == by_name.loc["whole_OS", "rim_temporal_ratio"]
    )
    assert by_name["isnt_rule"].isna().tolist() == [True, False, False]
    text = (tmp_path / "out" / "report.html").read_text()
    assert text.count('<span class="side">OD</span>') == text.count(">OS</span>") == 1
    assert text.count('<svg class="clock"') == text.count("<p>ISNT rule ") == 2
    assert text.count("<p>DDLS needs millimetres</p>") == 2
    assert text.count("Vertical ratio (vCDR) <strong>") == 3
    row = by_name.loc["whole"]
    left, top, width, height = (
        f"{row[f'region_{name}']:.0f}" for name in ("left", "top", "width", "height")
    )
    square = f'<rect x="{left}" y="{top}" width="{width}" height="{height}"/>'
    assert text.count('<svg class="whole" viewBox="0 0 560 400"') == text.count(square) == 3
    assert len(list((tmp_path / "out" / "locator").iterdir())) == 3


def test_a_photograph_with_text_in_it_is_not_shown_whole(cameras, tmp_path):
    file = write_dicom(
        tmp_path / "a.dcm", whole_field(2)[0], Rows=400, Columns=560, BurnedInAnnotation="YES"
    )
    predict(brightness_model(cameras), [file], tmp_path / "out")
    assert not list((tmp_path / "out" / "locator").iterdir())
    assert '<svg class="whole"' not in (tmp_path / "out" / "report.html").read_text()


def test_reviews_come_back_as_columns_and_counts(run, tmp_path):
    (tmp_path / "reviews.csv").write_text(
        "\ufeffimage,review,comment\r\n"
        '"R&D <b>","reject","no ""disc"" <i>"\r\n"a0001","accept",""\r\n"a0002","","blurred"\r\n'
    )
    out = tmp_path / "page.html"
    write_report(run / "after", out=out, reviewed=tmp_path / "reviews.csv")
    table = pd.read_csv(out.with_suffix(".csv"), keep_default_na=False).set_index("image")
    assert table.columns[-2:].tolist() == ["review", "comment"]
    assert table["review"].to_dict() == {
        "R&D <b>": "reject", "a0000": "", "a0001": "accept", "a0002": "", "a0003": "",
    }  # fmt: skip
    assert table["comment"]["a0002"] == "blurred"
    counts = json.loads(out.with_suffix(".json").read_text())["reviews"]
    assert counts == {"accept": 1, "reject": 1, "comments": 2}
    text = out.read_text()
    assert "Reviewed: 1 accepted and 1 rejected of 5, with 2 comments." in text
    assert '<p class="verdict reject">Rejected: no &#34;disc&#34; &lt;i&gt;</p>' in text


def test_semicolons_of_a_spreadsheet_are_read(tmp_path):
    (tmp_path / "r.csv").write_text("image;review;comment;who\na;accept;fine, they say;me\n")
    (row,) = read_reviews(tmp_path / "r.csv", {"a"}).to_dict("records")
    assert row == {"image": "a", "review": "accept", "comment": "fine, they say"}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "CSV of reviews in UTF-8 at .* Got: FileNotFoundError. Export it with the button"),
        (b"\xff\xfe\x00", "in UTF-8 at .* Got: UnicodeDecodeError"),
        (b"", "columns image, review, comment in .* Got: none named image, review, comment"),
        (b"image,comment\na,b\n", "Got: none named review"),
        (b"image,review,comment\nMustermann,accept,\n", "not in the report, in line 2. Correct"),
        (b"image,review,comment\na,accept,\na,reject,\n", "an earlier line has, in line 3"),
        (
            b"image,review,comment\na,yes,\n",
            "another review than accept, reject or none, in line 2",
        ),
    ],
)
def test_a_bad_file_of_reviews_is_refused(tmp_path, content, message):
    if content is not None:
        (tmp_path / "r.csv").write_bytes(content)
    with pytest.raises(InputError, match=message) as raised:
        read_reviews(tmp_path / "r.csv", {"a"})
    assert "Mustermann" not in str(raised.value)


def test_limits_of_agreement_are_bland_and_altmans():
    table = pd.DataFrame({"vertical_cdr": [0.5, 0.6, 0.8], "vertical_cdr_reference": 0.5})
    table[["dice_cup", "dice_disc", "dice_mean"]] = 0.9
    table[["vertical_cdr_refuge", "vertical_cdr_refuge_reference"]] = 0.5
    table["cup_area"], table["cup_area_reference"] = [30, 30, 36], 40
    summary = score_summary(table)
    differences = np.array([0.0, 0.1, 0.3])
    spread = 1.96 * differences.std(ddof=1)
    assert summary["vertical_cdr_bias"] == pytest.approx(0.4 / 3)
    assert summary["vertical_cdr_error"] == pytest.approx(0.4 / 3)
    assert summary["vertical_cdr_limits"] == pytest.approx([0.4 / 3 - spread, 0.4 / 3 + spread])
    assert summary["cup_area_ratio"] == pytest.approx(0.8)
    assert score_summary(table[:1])["vertical_cdr_limits"] is None


def test_the_readers_own_difference_stands_beside_the_scores(run, tmp_path):
    readers = {"pairs": [["expert1", "expert2"]], "dice_cup": 0.81, "dice_disc": 0.95}
    readers |= {"vertical_cdr_error": 0.0712}
    samples = load_samples(f"folder:{run / 'data'}")
    page = write_report(run / "after", None, samples, tmp_path / "r.html", readers=readers)
    text = page.read_text(encoding="utf-8")
    assert (
        "themselves differ (expert1 and expert2): Dice of the cup 0.810, of the disc 0.950" in text
    )
    assert "vertical ratio 0.071" in text
    assert "Within 0.05 of the reference" in text
    assert json.loads(page.with_suffix(".json").read_text())["readers"] == readers


def test_wrong_folders_are_named(run, cameras, tmp_path):
    with pytest.raises(InputError, match="wrote to its end at .*Got: one without measurements.csv"):
        write_report(tmp_path)
    with pytest.raises(InputError, match="or `adapt` wrote .*/none. Got: no folder of that name"):
        write_report(tmp_path / "none")
    predict(brightness_model(cameras), [run / "paths" / "a0000.png"], tmp_path / "one")
    with pytest.raises(InputError, match="same photographs in .* Got: 4 that are"):
        write_report(run / "after", tmp_path / "one")
    with pytest.raises(InputError, match="names are those of the photographs.*Got: none of the 6"):
        write_report(run / "after", None, load_samples(f"folder:{cameras / 'b'}"))
