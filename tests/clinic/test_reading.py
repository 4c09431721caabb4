import os
import subprocess
import sys
import textwrap
import tracemalloc
from pathlib import Path

import numpy as np
import pydicom
import pytest
import SimpleITK as sitk
from PIL import Image
from pydicom.pixels import convert_color_space

from fundus_uda.clinic.reading import LoadedPhotograph, PhotographFile, list_photographs, read
from fundus_uda.errors import InputError
from tests.fixtures.dicom import HEIGHT, NAME, NUMBER, WIDTH, eye, write_dicom


def read_one(path, **kwargs) -> LoadedPhotograph:
    (source,) = list_photographs([path], **kwargs)
    return read(source)


def test_rgb_with_spacing_and_laterality(tmp_path):
    path = write_dicom(
        tmp_path / "a.dcm", eye(), PixelSpacing=[0.011, 0.009], ImageLaterality="R", Laterality="L"
    )
    found = read_one(path)
    assert (found.id, found.status, found.reason) == ("a", "ok", "")
    assert np.array_equal(found.pixels, eye())
    assert found.spacing_mm == (0.011, 0.009)
    assert found.laterality == "R"
    assert found.burned_in_text is False


@pytest.mark.parametrize(
    ("tags", "laterality"),
    [
        ({"Laterality": "L"}, "L"),
        ({"ImageLaterality": "", "Laterality": "R"}, "R"),
        ({"ImageLaterality": "B"}, None),
        ({}, None),
    ],
)
def test_laterality_falls_back_on_the_series_and_is_never_guessed(tmp_path, tags, laterality):
    assert read_one(write_dicom(tmp_path / "a.dcm", eye(), **tags)).laterality == laterality


@pytest.mark.parametrize("spacing", [None, [0.0, 0.01], [-0.01, 0.01]])
def test_a_spacing_that_says_nothing_is_none(tmp_path, spacing):
    tags = {} if spacing is None else {"PixelSpacing": spacing}
    assert read_one(write_dicom(tmp_path / "a.dcm", eye(), **tags)).spacing_mm is None


def test_ybr_full_becomes_rgb(tmp_path):
    stored = convert_color_space(eye(), "RGB", "YBR_FULL")
    found = read_one(write_dicom(tmp_path / "a.dcm", stored, "YBR_FULL"))
    assert np.abs(found.pixels.astype(int) - eye()).max() <= 2


def test_ybr_full_422_becomes_rgb(tmp_path):
    ybr = convert_color_space(eye(), "RGB", "YBR_FULL")
    y, cb, cr = ybr[..., 0], ybr[:, ::2, 1], ybr[:, ::2, 2]  # every second column has colour
    stored = np.stack([y[:, ::2], y[:, 1::2], cb, cr], axis=-1)
    found = read_one(write_dicom(tmp_path / "a.dcm", stored, "YBR_FULL_422"))
    assert found.pixels.shape == (HEIGHT, WIDTH, 3)
    assert np.abs(found.pixels.astype(int) - eye()).max() <= 8


@pytest.mark.parametrize("bits", [12, 16])
def test_ybr_full_of_more_than_eight_bits_becomes_rgb(tmp_path, bits):
    ybr = convert_color_space(eye(), "RGB", "YBR_FULL")
    stored = (ybr * ((2**bits - 1) / 255)).round().astype(np.uint16)
    found = read_one(write_dicom(tmp_path / "a.dcm", stored, "YBR_FULL", bits=bits))
    assert found.status == "ok"
    assert np.abs(found.pixels.astype(int) - eye()).max() <= 2


@pytest.mark.parametrize("deep", [False, True])
def test_jpeg_lossless_is_read(tmp_path, deep):
    """Process 14, selection value 1, which many cameras export."""
    pixels = eye()[..., 0].astype(np.uint16) * 257 if deep else eye()
    writer = sitk.ImageFileWriter()
    writer.SetFileName(str(tmp_path / "a.dcm"))
    writer.UseCompressionOn()
    writer.SetCompressor("JPEG")
    writer.Execute(sitk.GetImageFromArray(pixels, isVector=not deep))
    syntax = pydicom.dcmread(tmp_path / "a.dcm").file_meta.TransferSyntaxUID
    assert syntax == "1.2.840.10008.1.2.4.70"
    found = read_one(tmp_path / "a.dcm")
    assert found.status == "ok"
    expected = np.repeat(eye()[..., :1], 3, axis=2) if deep else eye()
    assert np.array_equal(found.pixels, expected)


def test_a_transfer_syntax_that_nothing_reads_is_named(tmp_path):
    data = pydicom.dcmread(write_dicom(tmp_path / "a.dcm", eye()))
    data.file_meta.TransferSyntaxUID = "1.2.840.10008.1.2.4.100"
    data.PixelData = pydicom.encaps.encapsulate([bytes(data.PixelData)])
    data["PixelData"].VR = "OB"
    data.save_as(tmp_path / "a.dcm")
    reason = read_one(tmp_path / "a.dcm").reason
    assert reason.startswith("Expected pixels in a transfer syntax that can be read. Got: MPEG2")


@pytest.mark.parametrize("bits", [10, 16])
def test_more_than_eight_bits_are_scaled_by_what_is_stored(tmp_path, bits):
    stored = (eye() * ((2**bits - 1) / 255)).round().astype(np.uint16)
    found = read_one(write_dicom(tmp_path / "a.dcm", stored, bits=bits))
    assert np.abs(found.pixels.astype(int) - eye()).max() <= 1


def test_monochrome_becomes_grey_and_its_first_kind_is_inverted(tmp_path):
    grey = eye()[..., 0]
    second = read_one(write_dicom(tmp_path / "b.dcm", grey, "MONOCHROME2"))
    first = read_one(write_dicom(tmp_path / "a.dcm", grey, "MONOCHROME1"))
    assert np.array_equal(second.pixels, np.repeat(grey[..., None], 3, axis=2))
    assert np.array_equal(first.pixels, 255 - second.pixels)


def test_each_frame_is_a_photograph(tmp_path):
    write_dicom(tmp_path / "two.dcm", np.stack([eye(), eye(9)]), frames=2, ImageLaterality="L")
    sources = list_photographs([tmp_path])
    assert [source.id for source in sources] == ["two-frame1", "two-frame2"]
    first, second = map(read, sources)
    assert np.array_equal(first.pixels, eye())
    assert np.array_equal(second.pixels, eye(9))
    assert second.laterality == "L"


def test_a_frame_is_read_without_the_others(tmp_path):
    frames = np.zeros((100, 200, 200, 3), dtype=np.uint8)
    path = write_dicom(tmp_path / "a.dcm", frames, frames=100, Rows=200, Columns=200)
    tracemalloc.start()
    found = read(PhotographFile("a", path, frame=99))
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert found.pixels.shape == (200, 200, 3)
    assert most < frames.nbytes / 2


def test_burned_in_text_is_flagged(tmp_path):
    assert read_one(write_dicom(tmp_path / "a.dcm", eye(), BurnedInAnnotation="YES")).burned_in_text
    no = write_dicom(tmp_path / "b.dcm", eye(), BurnedInAnnotation="NO")
    assert not read_one(no).burned_in_text


@pytest.mark.parametrize("suffix", [".png", ".tif", ".bmp", ".jpg"])
def test_image_files_have_no_spacing_and_no_laterality(tmp_path, suffix):
    Image.fromarray(eye()).save(tmp_path / f"a{suffix}")
    found = read_one(tmp_path / f"a{suffix}")
    assert np.abs(found.pixels.astype(int) - eye()).mean() < (12 if suffix == ".jpg" else 1e-9)
    assert (found.status, found.spacing_mm, found.laterality) == ("ok", None, None)


@pytest.mark.parametrize(
    ("name", "laterality"),
    [
        ("p1_OD", "R"), ("p1-os", "L"), ("p1-R", "R"), ("N-12-L", "L"), ("OD", "R"), ("RE 12", "R"),
        ("p1_LE_2024", "L"), ("p1.OS.v2", "L"),
        ("CLOSE_WOOD", None), ("R-12", None), ("re_exam", None), ("p1_OD_OS", None),
        ("p1_R2", None), ("p1_OD-R", "R"), ("left", None),
    ],
)  # fmt: skip
def test_the_eye_is_read_from_whole_words_of_the_name(tmp_path, name, laterality):
    Image.fromarray(eye()).save(tmp_path / f"{name}.png")
    assert read_one(tmp_path / f"{name}.png").laterality == laterality
    assert read_one(tmp_path / f"{name}.png", key=b"a").laterality == laterality  # hashed id


@pytest.mark.parametrize(
    ("stated", "laterality"),
    [("OD", "R"), ("OS", "L"), ("Right", "R"), (" left ", "L"), ("L", "L"), ("", "R")],
)
def test_a_csv_may_state_the_eye_else_the_name_does(tmp_path, stated, laterality):
    Image.fromarray(eye()).save(tmp_path / "x_OD.png")
    (tmp_path / "list.csv").write_text(f"id,path,laterality\na,x_OD.png,{stated}\n")
    assert read_one(tmp_path / "list.csv").laterality == laterality


def test_a_csv_that_names_no_eye_is_refused_by_its_line(tmp_path):
    (tmp_path / "list.csv").write_text("id,path,laterality\na,x.png,OD\nb,y.png,Mustermann\n")
    with pytest.raises(InputError, match="OD, OS, R, L, .* none in each line .*line 3") as raised:
        list_photographs([tmp_path / "list.csv"])
    assert "Mustermann" not in str(raised.value)


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


def test_folders_take_images_and_dicom_with_or_without_suffix_and_nothing_below(tmp_path):
    write_dicom(tmp_path / "IM0001", eye())
    write_dicom(tmp_path / "b.DCM", eye())
    Image.fromarray(eye()).save(tmp_path / "c.png")
    Image.fromarray(eye()).save(tmp_path / ".hidden.png")
    (tmp_path / "README").write_text("none")
    (tmp_path / "below").mkdir()
    write_dicom(tmp_path / "below" / "d.dcm", eye())
    assert [source.id for source in list_photographs([tmp_path])] == ["IM0001", "b", "c"]


def test_a_csv_gives_ids_to_paths(tmp_path):
    (tmp_path / "visits").mkdir()
    write_dicom(tmp_path / "visits" / "x.dcm", eye())
    (tmp_path / "list.csv").write_text("id,path\neye-1,visits/x.dcm\neye-2,visits/none.png\n")
    first, second = map(read, list_photographs([tmp_path / "list.csv"]))
    assert (first.id, first.status) == ("eye-1", "ok")
    assert (second.id, second.status) == ("eye-2", "unreadable")
    assert second.reason == "Expected a file. Got: nothing at its path."


def test_ids_are_hashed_with_the_key_alone(tmp_path):
    Image.fromarray(eye()).save(tmp_path / "Mustermann.png")
    hashed = [list_photographs([tmp_path], key=key)[0].id for key in (b"a", b"a", b"b")]
    assert hashed[0] == hashed[1] != hashed[2]
    assert len(hashed[0]) == 16
    assert "Mustermann" not in repr(read(list_photographs([tmp_path], key=b"a")[0]))


def test_nothing_of_the_patient_is_passed_on(tmp_path, capfd, recwarn):
    folder = tmp_path / "Mustermann Erika"
    folder.mkdir()
    write_dicom(folder / "good.dcm", eye(), PatientAddress="Musterweg 1")
    odd = write_dicom(folder / "odd.dcm", eye(), PatientBirthDate="Mustermann was born")
    bad = write_dicom(folder / "bad.dcm", eye())
    bad.write_bytes(bad.read_bytes()[:-200])
    (folder / "broken.jpg").write_bytes(b"\xff\xd8 Mustermann")
    (folder / "text.dcm").write_text(f"{NAME} {NUMBER}")
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


@pytest.mark.parametrize(
    ("listed", "message"),
    [
        ("name,path\na,b.png\n", "columns id and path, .* Got: a first line without"),
        ("id;path\na;b.png\n", "with a comma between. Got: a first line without"),
        ("id,path\na\n", "a path in each line of .* Got: none in line 2"),
        ("id,path\n../a,b.png\n", "ids in .* that can be file names. Got: another in line 2"),
        ("id,path\n ,b.png\n", "that can be file names. Got: another in line 2"),
        ("id,path\na,b.png\na,c.png\n", "images of different names.* Got: b.png and c.png"),
        ("id,path\n", "Expected images in .*list.csv. Got: none"),
    ],
)
def test_a_csv_of_another_form_is_refused(tmp_path, listed, message):
    (tmp_path / "list.csv").write_text(listed)
    with pytest.raises(InputError, match=message):
        list_photographs([tmp_path / "list.csv"])


def test_paths_that_are_not_there_are_refused(tmp_path):
    with pytest.raises(InputError, match="image, a folder or a CSV at .*none. Got: nothing"):
        list_photographs([tmp_path / "none"])
    with pytest.raises(InputError, match="Got: none"):
        list_photographs([tmp_path])


def test_with_a_key_no_file_name_is_said(tmp_path):
    for suffix in ("png", "jpg"):
        Image.fromarray(eye()).save(tmp_path / f"Mustermann.{suffix}")
    with pytest.raises(InputError, match="two of one name, which --key-file keeps") as raised:
        list_photographs([tmp_path], key=b"a")
    assert "Mustermann" not in str(raised.value)


def test_a_16_bit_image_file_says_what_to_do(tmp_path):
    Image.fromarray(np.full((8, 8), 40_000, dtype=np.uint16)).save(tmp_path / "a.png")
    reason = read_one(tmp_path / "a.png").reason
    assert reason.startswith("Expected 8 bits per colour. Got: mode I;16. Save it as 8-bit RGB")


def test_a_header_that_announces_countless_frames_is_one_unreadable_photograph(tmp_path):
    data = pydicom.dcmread(write_dicom(tmp_path / "a.dcm", eye()))
    data.NumberOfFrames = 2_000_000_000
    data.save_as(tmp_path / "a.dcm")
    reason = read_one(tmp_path / "a.dcm").reason
    assert reason == "Expected at most 1000 frames. Got: 2000000000."


def test_a_missing_file_is_a_row(tmp_path):
    assert read(PhotographFile("a", tmp_path / "a.png")).status == "unreadable"


def test_dicom_files_named_by_uid_keep_their_whole_names(tmp_path):
    for name in ("1.2.840.113619.2.1", "1.2.840.113619.2.2", "a.dcm"):
        write_dicom(tmp_path / name, np.full((40, 40, 3), 90, dtype=np.uint8), Rows=40, Columns=40)
    (tmp_path / "notes.1").write_text("no photograph")
    ids = ["1.2.840.113619.2.1", "1.2.840.113619.2.2", "a"]
    assert [source.id for source in list_photographs([tmp_path])] == ids


def test_names_that_are_no_utf_8_give_printable_ids(tmp_path):
    for name in (b"M\xfcller.png", b"M\xfdller.png", b"two\nlines.png"):
        Image.fromarray(eye()).save(tmp_path / os.fsdecode(name))
    plain, hashed = (list_photographs([tmp_path], key=key) for key in (None, b"a"))
    assert sorted(source.id for source in plain) == ["M%FCller", "M%FDller", "two%0Alines"]
    assert [read(source).status for source in plain] == ["ok"] * 3
    assert len({source.id for source in hashed}) == 3


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
def test_listing_and_reading_turn_the_warnings_off(tmp_path, monkeypatch, uses):
    path = write_dicom(tmp_path / "a.dcm", eye())
    settings = pydicom.config.settings
    monkeypatch.setattr(settings, "reading_validation_mode", pydicom.config.WARN)
    warns = sitk.ProcessObject.GetGlobalWarningDisplay()
    sitk.ProcessObject.SetGlobalWarningDisplay(True)
    try:
        uses([path] if uses is list_photographs else PhotographFile("a", path))
        assert settings.reading_validation_mode == pydicom.config.IGNORE
        assert not sitk.ProcessObject.GetGlobalWarningDisplay()
    finally:
        sitk.ProcessObject.SetGlobalWarningDisplay(warns)
