"""What scores are read beside: readers' own differences, and whether the set was seen."""

import shutil

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from fundus_uda.data.datasets import load_samples
from fundus_uda.engine.checkpoint import checksum
from fundus_uda.segmentation.readers import (
    agreement_of_ratios,
    disagreement_of_readers,
    seen_in_training,
)
from fundus_uda.weights import RENDERED
from tests.fixtures.shapes import ellipses


def test_agreement_by_hand():
    found = pd.Series([0.50, 0.62, 0.59, 0.70, np.nan])
    reader = pd.Series([0.55, 0.58, 0.60, np.nan, 0.5])
    told = agreement_of_ratios(found, reader)
    assert told["vertical_cdr_images"] == 3
    assert told["vertical_cdr_error"] == pytest.approx(0.1 / 3)
    assert told["vertical_cdr_within_0.05"] == 1  # 0.05 itself, too
    assert told["vertical_cdr_crosses_up"] == pytest.approx(1 / 3)
    assert told["vertical_cdr_crosses_down"] == pytest.approx(1 / 3)
    assert set(agreement_of_ratios(found[4:], reader[4:]).values()) == {0, None}


def drishti(root, soft):
    """One photograph, whose cup all experts outline alike or, with `soft`, in two sizes."""
    files = root / "Drishti-GS1_files" / "Test"
    (files / "Images").mkdir(parents=True)
    maps = files / "Test_GT" / "eye" / "SoftMap"
    maps.mkdir(parents=True)
    Image.new("RGB", (300, 200)).save(files / "Images" / "eye.png")
    disc = (ellipses((80, 70)) > 0) * 255
    cup = (ellipses((48, 30)) > 0) * (128 if soft else 255)
    cup[ellipses((40, 30)) > 0] = 255
    for name, picture in (("OD", disc), ("cup", cup)):
        Image.fromarray(picture.astype(np.uint8)).save(maps / f"eye_{name}segSoftmap.png")
    return f"drishti-gs:{root}#test"


def test_readers_differ(tmp_path):
    told = disagreement_of_readers(drishti(tmp_path, soft=True))
    assert told["pairs"] == [["any", "all"]]
    assert told["dice_disc"] == 1
    assert told["cup_area_ratio"] == pytest.approx(40 / 48, abs=0.01)
    assert told["vertical_cdr_error"] == pytest.approx(0.1, abs=0.01)
    assert (told["vertical_cdr_crosses_up"], told["vertical_cdr_crosses_down"]) == (1, 0)


def test_one_annotation_is_no_agreement_of_readers(tmp_path, cameras):
    assert disagreement_of_readers(drishti(tmp_path, soft=False)) is None
    assert disagreement_of_readers(f"folder:{cameras / 'a'}") is None


def test_a_set_is_known_by_its_bytes(seeing_run, cameras, tmp_path):
    shutil.copytree(cameras / "a", tmp_path / "copy")
    seen = [
        seen_in_training(seeing_run, "last", load_samples(f"folder:{folder}"))
        for folder in (tmp_path / "copy", cameras / "b")
    ]
    assert seen == ["with labels", "no"]


def test_what_a_run_went_on_from_counts_too(seeing_run, cameras, tmp_path):
    contents = torch.load(seeing_run / "last.pt", weights_only=True)
    later = tmp_path / "later.pt"
    contents.pop("checksum")
    contents["settings"]["start"] = str(seeing_run)
    contents["data"]["source"] = ""
    torch.save(contents | {"checksum": checksum(contents)}, later)
    samples = load_samples(f"folder:{cameras / 'a'}")
    assert seen_in_training(later, "last", samples) == "with labels"
    contents["settings"]["start"] = "gone"
    torch.save(contents | {"checksum": checksum(contents)}, later)
    assert seen_in_training(later, "last", samples) == "unknown"


def test_the_network_that_comes_along_has_seen_no_photograph(seeing_run, cameras, tmp_path):
    """Nor has a copy of it, as an adaptation has one."""
    copy = shutil.copy(RENDERED, tmp_path / "model.safetensors")
    samples = load_samples(f"folder:{cameras / 'b'}")
    assert seen_in_training(copy, "last", samples) == "no"
    contents = torch.load(seeing_run / "last.pt", weights_only=True)
    contents.pop("checksum")
    contents["settings"]["start"] = str(copy)
    later = tmp_path / "later.pt"
    torch.save(contents | {"checksum": checksum(contents)}, later)
    assert seen_in_training(later, "last", samples) == "no"
    other = tmp_path / "other.safetensors"
    other.write_bytes(RENDERED.read_bytes() + b" ")
    assert seen_in_training(other, "last", samples) == "unknown"
