"""A clinic's photographs: what is read of each, and what is said of one that is not."""

import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pydicom
import pytest
import SimpleITK as sitk
from PIL import Image

from fundus_uda.clinic import decoding
from fundus_uda.clinic.listing import PhotographFile, list_photographs
from fundus_uda.clinic.reading import LoadedPhotograph, read
from fundus_uda.data.mask_files import read_mask
from fundus_uda.data.photograph_files import read_sample
from fundus_uda.data.samples import Sample
from fundus_uda.errors import InputError
from tests.fixtures.dicom import NAME, NUMBER, eye, read_one, smooth_eye, write_dicom


@pytest.mark.parametrize("fate", ["crash", "swell", "hang"])
def test_a_file_that_kills_its_decoder_is_a_row_and_the_next_is_read(tmp_path, monkeypatch, fate):
    """The child of this test meets its fate on the first file."""
    act = {
        "crash": "os.kill(os.getpid(), 11)",
        "swell": "np.ones(64 * 2**30, np.uint8)",
        "hang": "time.sleep(60)",
    }[fate]
    code = f"""
import os, sys, time
sys.path[:] = {sys.path!r}
import numpy as np
from fundus_uda.clinic import decoding
def read_dicom(path, frame):
    if path.name == "hostile.dcm":
        {act}
    return right(path, frame)
right, decoding._FUNCTIONS["read_dicom"] = decoding._FUNCTIONS["read_dicom"], read_dicom
decoding.serve()
"""

    def start():
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
        return subprocess.Popen([sys.executable, "-c", code], **pipes, stderr=subprocess.DEVNULL)

    decoding._child.stop()
    monkeypatch.setattr(decoding, "_start", start)
    monkeypatch.setattr(decoding, "SECONDS", 10 if fate == "hang" else 60)
    for name in ("a", "hostile", "z"):
        write_dicom(tmp_path / f"{name}.dcm", eye())
    before, hostile, after = map(read, list_photographs([tmp_path]))
    decoding._child.stop()
    assert np.array_equal(before.pixels, eye())
    assert np.array_equal(after.pixels, eye())
    assert hostile.status == "unreadable"
    if fate != "swell":  # where the child lives on
        assert hostile.reason.endswith("Got: one on which the decoder crashed or took too long.")


def test_one_child_serves_a_batch_and_ends_with_its_parent(tmp_path):
    for name in ("a", "b"):
        read_one(write_dicom(tmp_path / f"{name}.dcm", eye()))
    child = decoding._child.process
    read_one(write_dicom(tmp_path / "c.dcm", eye()))
    assert decoding._child.process is child
    child.stdin.close()  # as when the parent dies
    assert child.wait(timeout=30) == 0
    decoding._child.stop()


@pytest.mark.parametrize("suffix", [".png", ".tif", ".bmp", ".jpg"])
def test_image_files_have_no_spacing_and_no_laterality(tmp_path, suffix):
    Image.fromarray(eye()).save(tmp_path / f"a{suffix}")
    found = read_one(tmp_path / f"a{suffix}")
    assert np.abs(found.pixels.astype(int) - eye()).mean() < (12 if suffix == ".jpg" else 1e-9)
    assert (found.status, found.spacing_mm, found.laterality) == ("ok", None, None)


def test_eyes_that_contradict_each_other_are_unknown(tmp_path):
    write_dicom(tmp_path / "a_OD.dcm", eye(), ImageLaterality="L")
    write_dicom(tmp_path / "b_OD.dcm", eye(), ImageLaterality="R")
    write_dicom(tmp_path / "c_OD.dcm", eye())
    assert [read(file).laterality for file in list_photographs([tmp_path])] == [None, "R", "R"]


def test_exif_orientation_is_honoured(tmp_path):
    exif = Image.Exif()
    exif[0x0112], exif[0x010E] = 6, NAME  # a quarter turn clockwise; description
    Image.fromarray(np.rot90(eye())).save(tmp_path / "a.png", exif=exif)
    found = read_one(tmp_path / "a.png")
    assert np.array_equal(found.pixels, eye())
    assert NAME not in repr(found)


@pytest.mark.parametrize("name", ["b.jfif", "c.webp", "d.ppm", "e.dcm", "no_suffix"])
def test_a_file_given_by_name_is_what_its_content_says(tmp_path, name):
    kinds = {".jfif": "JPEG", ".dcm": "PNG", "": "PNG"}
    pixels = smooth_eye()
    path = tmp_path / name
    Image.fromarray(pixels).save(path, kinds.get(path.suffix))
    found = read_one(path)
    assert found.status == "ok", found.reason
    assert np.abs(found.pixels.astype(int) - pixels).mean() < 6
    write_dicom(tmp_path / "photograph.png", eye())
    assert np.array_equal(read_one(tmp_path / "photograph.png").pixels, eye())


def test_what_is_too_large_is_not_called_damaged(tmp_path, monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    Image.fromarray(eye()).save(tmp_path / "a.png")
    reason = "Expected at most 178 megapixels. Got: more. Make the image smaller."
    assert read_one(tmp_path / "a.png").reason == reason
    sample = Sample("a", tmp_path / "a.png", (tmp_path / "a.png",), "labels")
    for reads in (read_sample, read_mask):
        with pytest.raises(InputError, match="Got: more than the 178 megapixels that are read"):
            reads(sample)
    monkeypatch.undo()
    assert round(2 * Image.MAX_IMAGE_PIXELS / 1e6) == 179
    Image.new("RGB", (2000, 20)).save(tmp_path / "strip.png")
    assert read_one(tmp_path / "strip.png").reason.endswith("sides at most 64 to 1. Got: 2000x20.")


def test_nothing_of_the_patient_is_passed_on(tmp_path, capfd, caplog, recwarn):
    folder = tmp_path / "Mustermann Erika"
    folder.mkdir()
    write_dicom(folder / "good.dcm", eye(), PatientAddress="Musterweg 1")
    odd = write_dicom(folder / "odd.dcm", eye(), PatientBirthDate="Mustermann was born")
    bad = write_dicom(folder / "bad.dcm", eye())
    bad.write_bytes(bad.read_bytes()[:-200])
    (folder / "broken.jpg").write_bytes(b"\xff\xd8 Mustermann")
    (folder / "text.dcm").write_text(f"{NAME} {NUMBER}")
    caplog.clear()  # of what pydicom said of writing these
    recwarn.clear()
    found = [read(source) for source in list_photographs([folder])]
    status = {photograph.id: photograph.status for photograph in found}
    assert status == {
        "bad": "unreadable",
        "broken": "unreadable",
        "good": "ok",
        "odd": "ok",
        "text": "unreadable",
    }
    said = repr(found) + "".join(capfd.readouterr()) + "".join(str(w.message) for w in recwarn)
    said += caplog.text
    for secret in ("Mustermann", "Erika", NUMBER, "Musterweg", "1964", str(odd.parent)):
        assert secret not in said


@pytest.mark.parametrize("damage", ["colours", "no pixels", "truncated", "empty"])
def test_failures_are_rows_with_a_reason(tmp_path, damage):
    path = write_dicom(tmp_path / "a.dcm", eye())
    data = pydicom.dcmread(path)
    if damage == "colours":
        data.PhotometricInterpretation = "HSV"
    elif damage == "no pixels":
        del data.PixelData
    data.save_as(path)
    if damage in ("truncated", "empty"):
        path.write_bytes(path.read_bytes()[:-100] if damage == "truncated" else b"")
    found = read_one(path)
    reasons = {
        "colours": "Expected RGB, YBR or MONOCHROME pixels. Got: others.",
        "no pixels": "Expected a DICOM photograph. Got: a DICOM file without pixels.",
    }
    damaged = "Expected a readable DICOM file. Got: a damaged or unknown one."
    assert found == LoadedPhotograph("a", "unreadable", reasons.get(damage, damaged))


def test_a_16_bit_image_file_says_what_to_do(tmp_path):
    Image.fromarray(np.full((8, 8), 40_000, dtype=np.uint16)).save(tmp_path / "a.png")
    reason = read_one(tmp_path / "a.png").reason
    assert reason.startswith("Expected 8 bits per colour. Got: mode I;16. Save it as 8-bit RGB")


def test_a_missing_file_is_a_row(tmp_path):
    assert read(PhotographFile("a", tmp_path / "a.png")).status == "unreadable"


@pytest.mark.parametrize("name", ["IM0001", "a.png", "a.dcm"])
def test_a_file_that_may_not_be_read_is_a_row(tmp_path, monkeypatch, name):
    def refuse(*_, **__):
        raise PermissionError(13, "Permission denied", str(tmp_path / name))

    write_dicom(tmp_path / name, eye())
    monkeypatch.setattr(Path, "open", refuse)
    monkeypatch.setattr(Image, "open", refuse)
    monkeypatch.setattr("builtins.open", refuse)
    (source,) = list_photographs([tmp_path])
    found = read(source)
    assert (found.id, found.status) == (source.id, "unreadable")
    assert found.reason == "Expected a file that may be read. Got: no permission to."


def test_importing_leaves_the_switches_of_pydicom_and_simpleitk_alone():
    """In a fresh process, since reading turns their warnings off for the whole of it."""
    code = """
        import importlib, pkgutil
        import pydicom
        import SimpleITK as sitk
        import fundus_uda.clinic

        def switches():
            plain = {n: v for n, v in vars(pydicom.config).items() if isinstance(v, (bool, int))}
            return plain | vars(pydicom.config.settings) | {
                "warnings": sitk.ProcessObject.GetGlobalWarningDisplay(),
                "debug": sitk.ProcessObject.GetGlobalDefaultDebug(),
                "threader": sitk.ProcessObject.GetGlobalDefaultThreader(),
                "threads": sitk.ProcessObject.GetGlobalDefaultNumberOfThreads(),
                "reading": pydicom.config.settings.reading_validation_mode,
            }

        before = switches()
        assert before["warnings"] and before["reading"] == pydicom.config.WARN, before
        found = pkgutil.walk_packages(fundus_uda.clinic.__path__, "fundus_uda.clinic.")
        for name in [module.name for module in found]:
            importlib.import_module(name)
            assert switches() == before, name
            print(name)
    """
    ended = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, check=False
    )
    assert ended.returncode == 0, ended.stderr
    assert {"fundus_uda.clinic.reading", "fundus_uda.clinic.dicom_pixels"} <= {
        *ended.stdout.split()
    }


@pytest.mark.parametrize("uses", [list_photographs, read], ids=["list_photographs", "read"])
def test_listing_and_reading_leave_the_warnings_of_this_process_alone(tmp_path, monkeypatch, uses):
    """They are turned off in the child, which reads in its place."""
    path = write_dicom(tmp_path / "a.dcm", eye())
    settings = pydicom.config.settings
    monkeypatch.setattr(settings, "reading_validation_mode", pydicom.config.WARN)
    warns = sitk.ProcessObject.GetGlobalWarningDisplay()
    sitk.ProcessObject.SetGlobalWarningDisplay(True)
    try:
        uses([path] if uses is list_photographs else PhotographFile("a", path))
        assert settings.reading_validation_mode == pydicom.config.WARN
        assert sitk.ProcessObject.GetGlobalWarningDisplay()
    finally:
        sitk.ProcessObject.SetGlobalWarningDisplay(warns)


@pytest.mark.parametrize("suffix", [".webp", ".gif", ".jfif", ".ppm"])
def test_more_images_that_pillow_reads(suffix, tmp_path):
    frames = [Image.fromarray(eye(seed)) for seed in (0, 60)]
    more = {"save_all": True, "append_images": frames[1:]} if suffix == ".gif" else {}
    frames[0].save(tmp_path / f"a{suffix}", "JPEG" if suffix == ".jfif" else None, **more)
    (found,) = list_photographs([tmp_path])
    assert np.abs(read(found).pixels.astype(int) - eye()).mean() < 12  # the first frame
