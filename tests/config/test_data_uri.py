from pathlib import Path

import pytest

from fundus_uda.config.data_uri import has_kind, parse_data_uri
from fundus_uda.errors import InputError

SPLITS = {"refuge": ("train", "test"), "folder": ("all",)}


def test_kind_path_and_split():
    assert parse_data_uri("refuge:/data/x#test", SPLITS) == ("refuge", Path("/data/x"), "test")
    assert parse_data_uri("folder:x", SPLITS) == ("folder", Path("x"), "")


def test_a_windows_path_keeps_its_colon():
    _, path, split = parse_data_uri(r"folder:C:\clinic\photos#all", SPLITS)
    assert (str(path), split) == (r"C:\clinic\photos", "all")


@pytest.mark.parametrize(
    ("text", "has"),
    [("rim-one-r3:a#train", True), ("C:/photos", False), ("run", False), ("a/b:c", False)],
)
def test_a_text_has_a_kind_where_a_word_stands_before_a_colon(text, has):
    assert has_kind(text) is has


def test_a_hash_in_a_folder_is_not_a_split():
    assert parse_data_uri("folder:/eyes #1/a", SPLITS)[1:] == (Path("/eyes #1/a"), "")
    assert parse_data_uri("folder:/eyes #1/", SPLITS)[1:] == (Path("/eyes #1"), "")
    assert parse_data_uri("folder:/eyes #1/a#all", SPLITS)[1:] == (Path("/eyes #1/a"), "all")


def test_the_home_folder_is_expanded():
    assert parse_data_uri("folder:~/x", SPLITS)[1] == Path.home() / "x"


@pytest.mark.parametrize(
    ("uri", "message"),
    [
        ("refuge", "Expected KIND:PATH or KIND:PATH#SPLIT with KIND one of refuge, folder"),
        ("refuge:", "Got: 'refuge:'"),
        ("refuse:/x", "Got: 'refuse:/x'"),
        ("refuge:/x#dev", "split of refuge to be one of train, test. Got: 'dev'"),
    ],
)
def test_wrong_addresses_are_explained(uri, message):
    with pytest.raises(InputError, match=message):
        parse_data_uri(uri, SPLITS)


@pytest.mark.parametrize(("split", "known", "meant"), [
    ("training", ("train", "val"), "train"),
    ("val", ("train", "validation"), "validation"),
    ("Validation", ("train", "val"), "val"),
    ("testing", ("test",), "test"),
    ("train-by_hospital", ("train", "train-by_hospital"), "train-by_hospital"),
])  # fmt: skip
def test_splits_go_by_their_usual_names_for_every_kind(split, known, meant):
    assert parse_data_uri(f"x:/data#{split}", {"x": known})[2] == meant


def test_a_bare_path_is_taken_where_its_kind_is_plain_and_told_where_not(tmp_path):
    assert parse_data_uri(str(tmp_path), SPLITS) == ("folder", tmp_path, "")
    assert parse_data_uri(f"{tmp_path}#all", SPLITS) == ("folder", tmp_path, "all")
    (tmp_path / "a.csv").write_text("")
    kinds = {"manifest": ("train",)}
    assert parse_data_uri(f"{tmp_path / 'a.csv'}#train", kinds)[0] == "manifest"
    with pytest.raises(InputError, match="for example gta5:/"):
        parse_data_uri(str(tmp_path), {"gta5": ("all",)})
