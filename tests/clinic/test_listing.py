"""Which photographs are listed, and by which ids."""

import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fundus_uda.clinic.listing import PhotographFile, list_photographs
from fundus_uda.clinic.reading import read
from fundus_uda.errors import InputError
from tests.fixtures.dicom import eye, read_one, write_dicom


def test_folders_take_images_and_dicom_with_or_without_suffix_and_nothing_below(tmp_path):
    write_dicom(tmp_path / "IM0001", eye())
    write_dicom(tmp_path / "b.DCM", eye())
    Image.fromarray(eye()).save(tmp_path / "c.png")
    Image.fromarray(eye()).save(tmp_path / ".hidden.png")
    (tmp_path / "README").write_text("none")
    (tmp_path / "below").mkdir()
    write_dicom(tmp_path / "below" / "d.dcm", eye())
    assert [source.id for source in list_photographs([tmp_path])] == ["IM0001", "b", "c"]


def test_each_frame_is_a_photograph(tmp_path):
    write_dicom(tmp_path / "two.dcm", np.stack([eye(), eye(9)]), frames=2, ImageLaterality="L")
    sources = list_photographs([tmp_path])
    assert [source.id for source in sources] == ["two-frame1", "two-frame2"]
    first, second = map(read, sources)
    assert np.array_equal(first.pixels, eye())
    assert np.array_equal(second.pixels, eye(9))
    assert second.laterality == "L"


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


def test_ids_are_hashed_with_the_key_alone(tmp_path):
    Image.fromarray(eye()).save(tmp_path / "Mustermann.png")
    hashed = [list_photographs([tmp_path], key=key)[0].id for key in (b"a", b"a", b"b")]
    assert hashed[0] == hashed[1] != hashed[2]
    assert len(hashed[0]) == 16
    assert "Mustermann" not in repr(read(list_photographs([tmp_path], key=b"a")[0]))


def test_with_a_key_no_file_name_is_said(tmp_path):
    for suffix in ("png", "jpg"):
        Image.fromarray(eye()).save(tmp_path / f"Mustermann.{suffix}")
    with pytest.raises(InputError, match="two of one name, which --key-file keeps") as raised:
        list_photographs([tmp_path], key=b"a")
    assert "Mustermann" not in str(raised.value)


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


def test_a_csv_gives_ids_to_paths(tmp_path):
    (tmp_path / "visits").mkdir()
    write_dicom(tmp_path / "visits" / "x.dcm", eye())
    (tmp_path / "list.csv").write_text("id,path\neye-1,visits/x.dcm\neye-2,visits/none.png\n")
    first, second = map(read, list_photographs([tmp_path / "list.csv"]))
    assert (first.id, first.status) == ("eye-1", "ok")
    assert (second.id, second.status) == ("eye-2", "unreadable")
    assert second.reason == "Expected a file. Got: nothing at its path."


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


def test_paths_that_are_not_there_are_refused(tmp_path):
    with pytest.raises(InputError, match="image, a folder or a CSV at .*none. Got: nothing"):
        list_photographs([tmp_path / "none"])
    with pytest.raises(InputError, match="Got: none"):
        list_photographs([tmp_path])


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
