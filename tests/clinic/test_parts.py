import json
import shutil

import pytest
from PIL import Image

from fundus_uda.clinic.listing import PhotographFile
from fundus_uda.clinic.merge import merge_parts
from fundus_uda.clinic.parts import parse_part
from fundus_uda.clinic.predict import predict
from fundus_uda.data.synthetic import render
from fundus_uda.errors import InputError
from tests.fixtures.fields import retina
from tests.fixtures.seeing import brightness_model


@pytest.fixture(scope="module")
def archive(cameras, tmp_path_factory):
    """Photographs `a` to `d`, the last without a disc, predicted at once and in two parts."""
    root = tmp_path_factory.mktemp("archive")
    (root / "photographs").mkdir()
    for seed, name in enumerate("abc"):
        picture = Image.fromarray(render("a", seed, 96)[0])
        picture.save(root / "photographs" / f"{name}.png")
    Image.fromarray(retina(1)).save(root / "photographs" / "d.png")
    model = brightness_model(cameras)
    predict(model, [root / "photographs"], root / "whole")
    for number in (1, 2):
        part = parse_part(f"{number}/2")
        predict(model, [root / "photographs"], root / f"part{number}", part=part)
    return root


def test_merged_parts_are_what_is_predicted_at_once(archive, tmp_path):
    merge_parts([archive / "part2", archive / "part1"], tmp_path / "out")
    for pattern in ("measurements.*", "masks/*.png", "crops/*", "overlays/*", "affinity/*"):
        expected = sorted((archive / "whole").glob(pattern))
        assert expected
        for file in expected:
            merged = tmp_path / "out" / file.relative_to(archive / "whole")
            assert merged.read_bytes() == file.read_bytes(), merged
    summaries = [json.loads((folder / "summary.json").read_text())
                 for folder in (archive / "whole", tmp_path / "out")]  # fmt: skip
    for summary in summaries:
        del summary["written"]
    assert summaries[0] == summaries[1]
    assert (tmp_path / "out" / "report.html").is_file()


def test_a_merger_is_replaced_on_request(archive, tmp_path):
    parts, out = [archive / "part2", archive / "part1"], tmp_path / "out"
    merge_parts(parts, out)
    with pytest.raises(InputError, match="add --overwrite"):
        merge_parts(parts, out)
    assert len(merge_parts(parts, out, overwrite=True)) == 4
    assert (archive / "part1" / "measurements.csv").is_file()  # what is linked to stays
    (out / "masks" / "mine.png").touch()
    with pytest.raises(InputError, match=r"mine\.png, which was added"):
        merge_parts(parts, out, overwrite=True)


@pytest.mark.parametrize("names", [["part1"], ["part1", "part1"], ["part1", "part2", "part2"]])
def test_a_part_that_is_missing_or_there_twice_is_told(archive, tmp_path, names):
    with pytest.raises(InputError, match="Expected all parts, once each. Got: 1/2"):
        merge_parts([archive / name for name in names], tmp_path / "out")


def test_parts_that_were_compared_need_the_folder_again(archive, cameras, tmp_path):
    """They do not name it, since its name may be a patient's."""
    shutil.copytree(archive / "whole", tmp_path / "Mustermann")
    model, parts = brightness_model(cameras), [tmp_path / "1", tmp_path / "2"]
    for number, out in enumerate(parts, start=1):
        part = parse_part(f"{number}/2")
        predict(model, [archive / "photographs"], out, before=tmp_path / "Mustermann", part=part)
    assert "Mustermann" not in "".join(
        file.read_text(encoding="utf-8") for out in parts for file in out.glob("*.*")
    )
    with pytest.raises(InputError, match="Expected the --before with which all parts"):
        merge_parts(parts, tmp_path / "out")
    with pytest.raises(InputError, match="Expected the --before with which all parts"):
        merge_parts(parts, tmp_path / "out", archive / "part1")
    merged = merge_parts(parts, tmp_path / "out", tmp_path / "Mustermann")
    assert (merged["before_dice_disc"].dropna() == 1).all()


def test_a_folder_of_all_photographs_is_no_part(archive, tmp_path):
    with pytest.raises(InputError, match="Got: a whole one"):
        merge_parts([archive / "whole"], tmp_path / "out")


def test_each_photograph_is_in_one_part_whatever_else_there_is():
    files = [PhotographFile(f"p{number}", None) for number in range(200)]
    parts = [parse_part(f"{number}/4").of(files) for number in range(1, 5)]
    assert sorted(file.id for part in parts for file in part) == sorted(file.id for file in files)
    assert min(map(len, parts)) > 30
    assert parse_part("2/4").of(files[:50]) == [file for file in files[:50] if file in parts[1]]


def test_an_empty_part_is_told():
    only = [PhotographFile("p", None)]
    assert parse_part("2/2").of(only) == only
    with pytest.raises(InputError, match="part 1/2 of 1. Got: none. Make fewer parts"):
        parse_part("1/2").of(only)


@pytest.mark.parametrize("text", ["0/4", "5/4", "2", "a/b", "1/0", "-1/4"])
def test_a_part_is_written_as_a_fraction(text):
    with pytest.raises(InputError, match="Expected a part I/N with I from 1 to N"):
        parse_part(text)
