"""DICOM Segmentations: read by highdicom, the outline is at the pixels where it was."""

import json
import logging
import subprocess
import warnings

import numpy as np
import pandas as pd
import pydicom
import pytest
from PIL import Image
from pydicom.uid import SecondaryCaptureImageStorage, generate_uid
from typer.testing import CliRunner

from cli.main import app
from fundus_uda.clinic.dicom_seg import NEEDED, write_segmentations
from fundus_uda.clinic.report.summary import columns
from fundus_uda.errors import InputError
from tests.fixtures.dicom import HEIGHT, NAME, NUMBER, WIDTH, eye, write_dicom
from tests.fixtures.programs import program
from tests.fixtures.shapes import ellipses

hd = pytest.importorskip("highdicom")
MASK = ellipses((9, 7), (5, 3), disc_centre=(11, 20), cup_shift=(1, -1), shape=(HEIGHT, WIDTH))


def study(**tags):
    return {"StudyInstanceUID": generate_uid(), "SeriesInstanceUID": generate_uid(), **tags}


def folders(tmp_path, mask=MASK, pixels=None, **tags):
    """A photograph `eye.dcm`, and predictions with its mask."""
    (tmp_path / "photos").mkdir()
    (tmp_path / "predictions" / "masks").mkdir(parents=True)
    write_dicom(tmp_path / "photos" / "eye.dcm", eye() if pixels is None else pixels, **tags)
    Image.fromarray(mask).save(tmp_path / "predictions" / "masks" / "eye.png")
    return tmp_path / "predictions", [tmp_path / "photos"], tmp_path / "out"


def written(tmp_path, kind="BINARY", **tags):
    predictions, photos, out = folders(tmp_path, **study(**tags))
    table = write_segmentations(predictions, photos, out, kind)
    assert table["status"].tolist() == ["ok"], table["reason"].tolist()
    return hd.seg.segread(out / "eye.dcm")


def pixels_of(segmentation, number):
    source = segmentation.ReferencedSeriesSequence[0].ReferencedInstanceSequence[0]
    (frame,) = segmentation.get_pixels_by_source_instance(
        [source.ReferencedSOPInstanceUID], segment_numbers=[number]
    )
    return frame[..., 0]


@pytest.mark.parametrize("kind", ["BINARY", "LABELMAP"])
def test_the_outline_is_at_the_right_pixels(kind, tmp_path):
    found = written(tmp_path, kind, PixelSpacing=[0.02, 0.03])
    first = MASK != 0 if kind == "BINARY" else MASK == 1
    assert np.array_equal(pixels_of(found, 1), first)
    assert np.array_equal(pixels_of(found, 2), MASK == 2)
    measures = found.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence[0]
    assert measures.PixelSpacing == [0.02, 0.03]


def test_it_refers_to_the_photograph_and_its_patient(tmp_path):
    found = written(tmp_path)
    source = pydicom.dcmread(tmp_path / "photos" / "eye.dcm")
    (reference,) = found.ReferencedSeriesSequence[0].ReferencedInstanceSequence
    assert reference.ReferencedSOPClassUID == source.SOPClassUID
    assert reference.ReferencedSOPInstanceUID == source.SOPInstanceUID
    assert (found.StudyInstanceUID, found.PatientName, found.PatientID) == (
        source.StudyInstanceUID, NAME, NUMBER,
    )  # fmt: skip
    assert found.SeriesInstanceUID != source.SeriesInstanceUID
    disc, cup = (segment.SegmentedPropertyTypeCodeSequence[0] for segment in found.SegmentSequence)
    assert (disc.CodeValue, disc.CodingSchemeDesignator) == ("81016008", "SCT")
    assert cup.CodingSchemeDesignator.startswith("99")  # of no table but ours


def test_a_size_that_nobody_stated_is_not_written(tmp_path):
    assert "PixelMeasuresSequence" not in written(tmp_path).SharedFunctionalGroupsSequence[0]


def test_a_photograph_of_another_class_is_taken_too(tmp_path):
    found = written(tmp_path, SOPClassUID=SecondaryCaptureImageStorage)
    assert found.ReferencedSeriesSequence[0].ReferencedInstanceSequence[
        0
    ].ReferencedSOPClassUID == (SecondaryCaptureImageStorage)


def test_an_eye_without_a_cup_has_an_empty_segment(tmp_path):
    mask = np.where(MASK == 2, 1, MASK).astype(np.uint8)
    predictions, photos, out = folders(tmp_path, mask, **study())
    write_segmentations(predictions, photos, out)
    found = hd.seg.segread(out / "eye.dcm")
    assert not pixels_of(found, 2).any()
    assert np.array_equal(pixels_of(found, 1), mask != 0)


@pytest.mark.parametrize("tag", ["StudyInstanceUID", "SeriesInstanceUID"])
def test_a_file_without_the_tags_that_are_needed_is_listed(tag, tmp_path):
    predictions, photos, out = folders(tmp_path, **(study() | {tag: ""}))
    (row,) = write_segmentations(predictions, photos, out).to_dict("records")
    assert tag in NEEDED
    assert row["status"] == "not_written"
    assert row["reason"].endswith(f"Got: one without {tag}.")
    assert not list(out.glob("*.dcm"))


def test_segmentations_are_replaced_on_request(tmp_path):
    predictions, photos, out = folders(tmp_path, **study())
    write_segmentations(predictions, photos, out)
    first = (out / "eye.dcm").read_bytes()
    with pytest.raises(InputError, match="add --overwrite"):
        write_segmentations(predictions, photos, out)
    write_segmentations(predictions, photos, out, overwrite=True)
    assert (out / "eye.dcm").read_bytes() != first  # it has a UID of its own
    (out / "mine.dcm").touch()
    with pytest.raises(InputError, match=r"mine\.dcm, which was added"):
        write_segmentations(predictions, photos, out, overwrite=True)


def test_what_cannot_be_written_is_listed_with_the_reason(tmp_path):
    predictions, photos, out = folders(tmp_path, MASK[:10], **study())
    folder = photos[0]
    Image.fromarray(eye()).save(folder / "image.png")
    write_dicom(folder / "blank.dcm", eye(), **study())
    write_dicom(folder / "frames.dcm", np.stack([eye(), eye()]), frames=2, **study())
    (folder / "broken.dcm").write_bytes(b"Mustermann")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        table = write_segmentations(predictions, photos, out)
    reasons = dict(zip(table["image"], table["reason"], strict=True))
    assert "outline of 36x24 pixels. Got: 36x10" in reasons["eye"]
    assert "Got: an image file" in reasons["image"]
    assert "Expected an outline" in reasons["blank"]
    assert "several" in reasons["frames-frame1"]
    assert (table["status"] == "not_written").all()
    assert not list(out.glob("*.dcm"))
    assert NAME not in str(reasons)


def test_the_command_ends_with_3_if_some_are_not_written(tmp_path):
    predictions, photos, out = folders(tmp_path, **study())
    Image.fromarray(eye()).save(photos[0] / "image.png")
    arguments = ["dicom", str(predictions), str(photos[0]), "--out", str(out)]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 3
    assert "Wrote 1 DICOM Segmentations" in result.stdout
    assert "1 could not be written:" in result.stderr
    with pytest.raises(InputError, match="new or empty output folder"):
        write_segmentations(predictions, photos, out)


def test_predictions_that_are_none_are_named(tmp_path):
    _, photos, out = folders(tmp_path, **study())
    with pytest.raises(InputError, match="folder that `predict` wrote, with masks, at .*photos"):
        write_segmentations(photos[0], photos, out)


def measured(tmp_path, **tags):
    """A photograph, and predictions with a mask and its ratio."""
    predictions, photos, out = folders(tmp_path, **study(**tags))
    table = pd.DataFrame([{"image": "eye", "status": "ok", "vertical_cdr": 0.5556}])
    table = table.reindex(columns=list(columns()))
    table["laterality"] = "L"
    table.to_csv(predictions / "measurements.csv", index=False)
    about = {"model": {}, "versions": {}, "written": "", "note": "", "before": None}
    (predictions / "summary.json").write_text(json.dumps(about))
    return predictions, photos, out


def test_the_ratio_is_a_structured_report_of_the_photograph(tmp_path):
    predictions, photos, out = measured(tmp_path)
    arguments = ["dicom", str(predictions), *map(str, photos), "--out", str(out), "--sr"]
    told = CliRunner().invoke(app, arguments)
    assert told.exit_code == 0, told.output
    source = pydicom.dcmread(tmp_path / "photos" / "eye.dcm")
    report = hd.sr.srread(out / "eye.sr.dcm")
    assert (report.PatientID, report.StudyInstanceUID) == (NUMBER, source.StudyInstanceUID)
    (group,) = report.content.get_image_measurement_groups()
    (measurement,) = group.get_measurements()
    assert measurement.value == 0.5556
    assert measurement.name.meaning == "Vertical cup-to-disc ratio"
    assert "Height of the cup over height of the disc" in str(report)
    (site,) = group.finding_sites
    assert site.value.value == "81016008"
    assert site.laterality.meaning == "Left"
    (evidence,) = report.CurrentRequestedProcedureEvidenceSequence
    referenced = evidence.ReferencedSeriesSequence[0].ReferencedSOPSequence[0]
    assert referenced.ReferencedSOPInstanceUID == source.SOPInstanceUID
    assert referenced.ReferencedSOPClassUID == source.SOPClassUID


def test_a_report_needs_measurements(tmp_path):
    predictions, photos, out = folders(tmp_path, **study())
    with pytest.raises(InputError, match="Got: one without measurements.csv"):
        write_segmentations(predictions, photos, out, reports=True)
    assert not out.exists()


def test_a_validator_of_dicom_finds_no_error(tmp_path):
    validator = program("dciodvfy")  # of dicom3tools
    predictions, photos, out = measured(tmp_path, PixelSpacing=[0.02, 0.03], ImageLaterality="L")
    write_segmentations(predictions, photos, out, reports=True)
    for file, kind in ((out / "eye.dcm", "Segmentation"), (out / "eye.sr.dcm", "EnhancedSR")):
        run = subprocess.run([validator, file], capture_output=True, text=True, check=False)
        said = run.stdout + run.stderr
        assert kind in said.splitlines()
        assert "Error" not in said, said


def test_names_in_any_character_set_are_repeated(tmp_path):
    name, sets = "Yamada^Tarou=\u5c71\u7530^\u592a\u90ce", ["", "ISO 2022 IR 87"]
    predictions, photos, out = measured(tmp_path, SpecificCharacterSet=sets, PatientName=name)
    table = write_segmentations(predictions, photos, out, reports=True)
    assert table["status"].tolist() == ["ok"], table["reason"].tolist()
    for file in ("eye.dcm", "eye.sr.dcm"):
        assert str(pydicom.dcmread(out / file).PatientName) == name


ODD = {
    "PatientName": "Mustermann Erika",
    "PatientID": "PID-4711" * 12,
    "AccessionNumber": "Mustermann" * 5,
    "SpecificCharacterSet": "ERIKA",
}
"""Values that DICOM does not allow, but that can be repeated."""


@pytest.mark.parametrize(("more", "told"), [
    ({}, ""),
    ({"PatientBirthDate": "geb. Mustermann"}, "Got: another of PatientID, PatientBirthDate, "),
    ({"PatientSex": "ERIKA"}, "PatientSex, AccessionNumber. Correct the file"),
])  # fmt: skip
@pytest.mark.filterwarnings("always")
def test_odd_tags_are_repeated_or_named_and_never_quoted(
    more, told, tmp_path, capfd, caplog, recwarn
):
    caplog.set_level(logging.DEBUG)
    with warnings.catch_warnings(), pytest.MonkeyPatch.context() as patch:
        warnings.simplefilter("ignore")
        patch.setattr(pydicom.config.settings, "writing_validation_mode", pydicom.config.IGNORE)
        predictions, photos, out = measured(tmp_path, **ODD, **more)
    caplog.clear()
    (row,) = write_segmentations(predictions, photos, out, reports=True).to_dict("records")
    assert row["status"] == ("not_written" if told else "ok")
    assert told in row["reason"]
    assert len(list(out.glob("*.dcm"))) == (0 if told else 2)
    said = "".join(capfd.readouterr()) + caplog.text + "".join(str(w.message) for w in recwarn)
    said = (said + row["reason"]).replace(str(tmp_path), "").upper()
    assert not [word for word in ("MUSTERMANN", "ERIKA", "4711") if word in said], said
    pydicom.dcmread(photos[0] / "eye.dcm")
    assert "ERIKA" in caplog.text  # outside, what pydicom says is for whoever reads with it
