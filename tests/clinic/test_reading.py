"""A clinic's photographs: which are listed, by which ids, and what is read of each."""

import os
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
from fundus_uda.clinic.reading import LoadedPhotograph, PhotographFile, list_photographs, read
from fundus_uda.data.mask_files import read_mask
from fundus_uda.data.photograph_files import read_sample
from fundus_uda.data.samples import Sample
from fundus_uda.errors import InputError
from tests.fixtures.dicom import NAME, NUMBER, eye, smooth_eye, write_dicom


def read_one(path, **kwargs) -> LoadedPhotograph:
    (source,) = list_photographs([path], **kwargs)
    return read(source)


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


def test_each_frame_is_a_photograph(tmp_path):
    write_dicom(tmp_path / "two.dcm", np.stack([eye(), eye(9)]), frames=2, ImageLaterality="L")
    sources = list_photographs([tmp_path])
    assert [source.id for source in sources] == ["two-frame1", "two-frame2"]
    first, second = map(read, sources)
    assert np.array_equal(first.pixels, eye())
    assert np.array_equal(second.pixels, eye(9))
    assert second.laterality == "L"


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


@pytest.mark.parametrize(
    ("listed", "message"),
    [
        ("name,file\na,b.png\n", "column `image` or `path` .* Got: a first line without"),
        ("id,path\na,b.png,c\n", "as many cells in each line .* Got: Parser"),
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


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
@pytest.mark.parametrize("names", [("id", "path"), ("ID", "image"), ("image",)])
def test_a_csv_has_any_usual_delimiter_either_name_and_more_columns(
    names, delimiter, tmp_path, capsys
):
    Image.fromarray(eye()).save(tmp_path / "x.png")
    values = {"id": "eye-1", "ID": "eye-1", "path": "x.png", "image": "x.png"}
    lines = [[*names, "patient"], [*(values[name] for name in names), "Mustermann"], [""] * 2]
    text = "\n".join(delimiter.join(line) for line in lines)
    (tmp_path / "list.csv").write_text(text)
    (found,) = list_photographs([tmp_path / "list.csv"])
    assert (found.id, read(found).status) == ("x" if len(names) == 1 else "eye-1", "ok")
    assert capsys.readouterr().err == "list.csv: not read are the columns patient.\n"


@pytest.mark.parametrize("suffix", [".webp", ".gif", ".jfif", ".ppm"])
def test_more_images_that_pillow_reads(suffix, tmp_path):
    frames = [Image.fromarray(eye(seed)) for seed in (0, 60)]
    more = {"save_all": True, "append_images": frames[1:]} if suffix == ".gif" else {}
    frames[0].save(tmp_path / f"a{suffix}", "JPEG" if suffix == ".jfif" else None, **more)
    (found,) = list_photographs([tmp_path])
    assert np.abs(read(found).pixels.astype(int) - eye()).mean() < 12  # the first frame


def test_what_is_passed_over_is_named_and_a_broken_link_is_a_row(tmp_path, capsys):
    Image.fromarray(eye()).save(tmp_path / "a.png")
    for name in ("a.heic", "notes.txt", ".hidden"):
        (tmp_path / name).write_text("text")
    (tmp_path / "b.png").symlink_to(tmp_path / "gone.png")
    first, second = map(read, list_photographs([tmp_path]))
    assert (first.status, second.status) == ("ok", "unreadable")
    assert second.reason == "Expected a file. Got: nothing at its path."
    said = "Passed over, being no images: 2 files: a.heic, notes.txt.\n"
    assert capsys.readouterr().err == said
    list_photographs([tmp_path], key=b"a")
    assert capsys.readouterr().err == "Passed over, being no images: 2 files.\n"


def test_photographs_in_folders_below(tmp_path):
    for visit in ("p1", "p2"):
        (tmp_path / visit).mkdir()
        Image.fromarray(eye()).save(tmp_path / visit / "left.png")
    with pytest.raises(InputError, match=r"Got: none. Look in .* \(p1, p2\) with --recursive"):
        list_photographs([tmp_path])
    with pytest.raises(InputError, match="different names.*ids from the paths with --ids path"):
        list_photographs([tmp_path], recursive=True)
    for paths, recursive in (
        ([tmp_path], True),
        ([tmp_path / "p1", tmp_path / "p2"], False),
        ([tmp_path / "p1" / "left.png", tmp_path / "p2" / "left.png"], False),
    ):
        found = list_photographs(paths, recursive=recursive, ids="path")
        assert [file.id for file in found] == ["p1_left", "p2_left"]
        assert [file.path.parent.name for file in found] == ["p1", "p2"]


def test_a_dataset_stands_where_paths_go(cameras, tmp_path):
    found = list_photographs([Path(f"folder:{cameras / 'b'}")])
    assert len(found) == 6
    assert read(found[0]).status == "ok"
    Image.new("RGB", (240, 100)).save(tmp_path / "pair.png")
    assert read(PhotographFile("a", tmp_path / "pair.png", stereo=True)).pixels.shape[1] == 120
    with pytest.raises(InputError, match="--key-file with photographs alone. Got: a dataset, who"):
        list_photographs([Path(f"folder:{cameras / 'b'}")], key=b"a")


def test_folders_below_that_hold_photographs_are_told_of(tmp_path, capsys):
    for name in ("a.png", "p1/b.png", "p2/c.png", "notes/d.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"")
    assert len(list_photographs([tmp_path])) == 1
    told = "Not looked into: 2 folders that hold photographs. Add --recursive to take these, too."
    assert told in capsys.readouterr().err
    assert len(list_photographs([tmp_path], recursive=True)) == 3
    assert "Not looked into" not in capsys.readouterr().err
