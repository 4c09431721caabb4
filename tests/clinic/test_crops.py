import errno
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from cli.main import run
from fundus_uda.clinic.crops import (
    NO_COLOUR,
    is_whole,
    row_or_reason,
    write_crops,
    write_labelled_crops,
)
from fundus_uda.clinic.listing import PhotographFile
from fundus_uda.data.datasets import load_samples
from fundus_uda.data.inspection import shows_whole_photographs
from fundus_uda.data.synthetic import render
from fundus_uda.errors import InputError, WriteError
from fundus_uda.output import verbosely
from fundus_uda.unfinished import Unfinished
from tests.fixtures.dicom import write_dicom
from tests.fixtures.fields import retina, whole_field


def test_crops_around_the_discs_make_a_dataset(tmp_path):
    (tmp_path / "in").mkdir()
    whole, crop = whole_field(2)[0], render("a", 1, 200)[0]
    for name, pixels in (("whole", whole), ("crop", crop), ("no_disc", retina(1))):
        Image.fromarray(pixels).save(tmp_path / "in" / f"{name}.png")
    (tmp_path / "in" / "broken.png").write_bytes(b"no image")
    table = write_crops([tmp_path / "in"], tmp_path / "out").set_index("image")
    assert table["status"].to_dict() == {
        "broken": "unreadable", "crop": "ok", "no_disc": "no_disc", "whole": "ok"
    }  # fmt: skip
    samples = load_samples(f"folder:{tmp_path / 'out'}")
    assert [sample.id for sample in samples] == ["crop", "whole"]
    assert np.array_equal(np.asarray(Image.open(samples[0].image)), crop)
    top, left, side = table.loc["whole", ["region_top", "region_left", "region_height"]].astype(int)
    cut = np.asarray(Image.open(samples[1].image))
    assert np.array_equal(cut, whole[top : top + side, left : left + side])
    assert top < 190 < top + side
    assert left < 400 < left + side


def test_a_crop_that_shows_text_is_not_copied(tmp_path):
    pixels = render("a", 1, 200)[0]
    write_dicom(tmp_path / "a.dcm", pixels, Rows=200, Columns=200, BurnedInAnnotation="YES")
    table = write_crops([tmp_path / "a.dcm"], tmp_path / "out")
    assert table["status"].tolist() == ["unreadable"]
    assert "without text in it" in table["reason"][0]
    assert not list((tmp_path / "out" / "images").iterdir())


def test_verbosely_each_photograph_is_told(tmp_path, capsys):
    Image.fromarray(whole_field(2)[0]).save(tmp_path / "eye.png")
    (tmp_path / "broken.png").write_bytes(b"")
    with verbosely():
        write_crops([tmp_path / "eye.png", tmp_path / "broken.png"], tmp_path / "crops")
    told = capsys.readouterr().err
    assert "eye: ok\n" in told
    assert "broken: unreadable Expected a readable image." in told


def test_a_folder_in_use_is_refused(tmp_path):
    Image.fromarray(render("a", 1, 64)[0]).save(tmp_path / "a.png")
    with pytest.raises(InputError, match="new or empty output folder"):
        write_crops([tmp_path], tmp_path)


def test_crops_are_replaced_on_request_and_nothing_else_is(tmp_path):
    for name, seed in (("a", 1), ("b", 2)):
        Image.fromarray(render("a", seed, 96)[0]).save(tmp_path / f"{name}.png")
    out = tmp_path / "out"
    write_crops([tmp_path / "a.png"], out)
    with pytest.raises(InputError, match="add --overwrite to replace what it wrote"):
        write_crops([tmp_path / "b.png"], out)
    write_crops([tmp_path / "b.png"], out, overwrite=True)
    assert [path.name for path in (out / "images").iterdir()] == ["b.png"]
    (out / "images" / "mine.png").write_bytes(b"mine")
    with pytest.raises(InputError, match=r"mine\.png, which was added"):
        write_crops([tmp_path / "a.png"], out, overwrite=True)
    assert sorted(path.name for path in (out / "images").iterdir()) == ["b.png", "mine.png"]


@pytest.fixture
def labelled(tmp_path):
    """Two whole photographs, black around a rendered crop of 64 pixels, with their masks."""
    for folder in ("images", "masks"):
        (tmp_path / "whole" / folder).mkdir(parents=True)
    for name, seed in (("left", 1), ("right", 2)):
        photograph, mask = np.zeros((300, 400, 3), np.uint8), np.zeros((300, 400), np.uint8)
        photograph[100:164, 50:114], mask[100:164, 50:114] = render("a", seed, 64)
        Image.fromarray(photograph).save(tmp_path / "whole" / "images" / f"{name}.png")
        Image.fromarray(mask).save(tmp_path / "whole" / "masks" / f"{name}.png")
    return tmp_path / "whole"


def test_masks_say_where_to_crop_and_are_cropped_alike(labelled, tmp_path):
    samples = load_samples(f"folder:{labelled}")
    assert shows_whole_photographs(samples)
    Image.fromarray(np.zeros((300, 400), np.uint8)).save(labelled / "masks" / "right.png")
    table = write_labelled_crops(samples, tmp_path / "out").set_index("image")
    assert table["status"].to_dict() == {"left": "ok", "right": "no_disc"}
    (crop,) = load_samples(f"folder:{tmp_path / 'out'}")
    assert not shows_whole_photographs([crop])
    mask = np.asarray(Image.open(crop.masks[0]))
    assert mask.shape[0] == mask.shape[1]
    disc = mask > 0
    assert 2 * np.sqrt(disc.sum() / np.pi) / len(mask) == pytest.approx(0.6, abs=0.02)
    assert np.argwhere(disc).mean(axis=0) == pytest.approx(len(mask) / 2, abs=1.5)
    top, left = table.loc["left", ["region_top", "region_left"]].astype(int)
    whole = np.asarray(Image.open(samples[0].image))
    side = len(mask)
    assert np.array_equal(
        np.asarray(Image.open(crop.image)), whole[top : top + side, left : left + side]
    )


def test_the_command_crops_datasets_and_photographs(labelled, tmp_path, monkeypatch, capsys):
    for what, out in ((f"folder:{labelled}", "by_mask"), (str(labelled / "images"), "found")):
        command = ["fundus-uda", "crop", what, "--out", str(tmp_path / out)]
        monkeypatch.setattr(sys, "argv", command)
        with pytest.raises(SystemExit) as ended:
            run()
        assert ended.value.code in (0, 3)
    assert "Wrote 2 crops" in capsys.readouterr().out
    assert (tmp_path / "by_mask" / "masks" / "left.png").is_file()
    assert len(pd.read_csv(tmp_path / "found" / "crops.csv")) == 2


def test_a_crop_in_grey_gets_the_true_reason(cameras, tmp_path):
    for file in sorted((cameras / "a" / "images").iterdir())[:1]:
        Image.open(file).convert("L").resize((200, 200)).save(tmp_path / "grey.png")
    (row,) = write_crops([tmp_path / "grey.png"], tmp_path / "out").to_dict("records")
    assert (row["status"], row["reason"]) == ("no_disc", NO_COLOUR)


def stopped_at_the_second_row(work, monkeypatch):
    """Stop `work` once one row is kept."""
    added, add = [], Unfinished.add

    def stops(self, row):
        if added:
            raise KeyboardInterrupt
        added.append(row)
        add(self, row)

    with monkeypatch.context() as patch:
        patch.setattr(Unfinished, "add", stops)
        with pytest.raises(KeyboardInterrupt):
            work()


@pytest.mark.parametrize("kind", ["photographs", "labelled"])
def test_stopped_crops_go_on_and_equal_unbroken_ones(kind, labelled, tmp_path, monkeypatch, capsys):
    samples = load_samples(f"folder:{labelled}")

    def work(out):
        if kind == "labelled":
            return write_labelled_crops(samples, out)
        return write_crops([labelled / "images"], out)

    work(tmp_path / "unbroken")
    stopped_at_the_second_row(lambda: work(tmp_path / "parts"), monkeypatch)
    assert not is_whole(tmp_path / "parts")
    with pytest.raises(InputError, match="whole dataset .* Got: one whose writing was cut off"):
        load_samples(f"folder:{tmp_path / 'parts'}")
    work(tmp_path / "parts")
    assert "Going on: 1 of 2 crops are done." in capsys.readouterr().err
    assert is_whole(tmp_path / "parts")
    one, other = (
        {path.relative_to(folder): path.read_bytes() for path in folder.rglob("[!.]*.*")}
        for folder in (tmp_path / "unbroken", tmp_path / "parts")
    )
    assert one == other


def test_a_full_disk_makes_no_photograph_unreadable():
    def full(_):
        raise OSError(errno.ENOSPC, "No space left on device")

    def closed(_):
        raise OSError(errno.EIO, "Input/output error")

    file = PhotographFile("a", Path("a.png"))

    def written(_):
        raise WriteError("Expected room to write a.png.")

    with pytest.raises(OSError, match="No space left"):
        row_or_reason(full, file)
    with pytest.raises(WriteError):
        row_or_reason(written, file)
    assert row_or_reason(closed, file)["status"] == "unreadable"
