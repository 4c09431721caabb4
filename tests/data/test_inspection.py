import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from fundus_uda.data.inspection import inspect, shows_whole_photographs
from fundus_uda.data.samples import Sample
from fundus_uda.data.synthetic import write_camera
from fundus_uda.errors import InputError
from fundus_uda.recipe.adapt import adapt
from fundus_uda.segmentation.training import train
from tests.fixtures.small_run import small_settings


def test_a_sound_folder(cameras):
    found = inspect(f"folder:{cameras / 'a'}")
    assert (found.images, found.with_mask, found.problems) == (8, 8, [])
    assert found.sizes == {"64x64": 8}
    assert all(0 < share < 1 for share in found.disc_shares)
    assert all(0 < ratio < 1 for ratio in found.vertical_cdrs)


def test_files_that_are_no_images_are_named(tmp_path, capsys):
    write_camera(tmp_path, "a", count=1, size=64, first_seed=0)
    (tmp_path / "images" / "b.heic").write_bytes(b"")
    assert inspect(f"folder:{tmp_path}").problems == []
    assert capsys.readouterr().err == "Passed over, being no images: 1 file: b.heic.\n"


@pytest.mark.parametrize("names", [("od", "oc"), ("a0000.mha",)])
def test_masks_that_are_not_read_are_a_problem(tmp_path, names):
    write_camera(tmp_path, "a", count=1, size=64, first_seed=0)
    masks = tmp_path / "masks"
    mask = Image.open(masks / "a0000.png")
    mask.load()
    (masks / "a0000.png").unlink()
    for name in names:
        file = masks / name if "." in name else masks / name / "a0000.png"
        file.parent.mkdir(exist_ok=True)
        mask.save(file, format="png")
    (problem,) = inspect(f"folder:{tmp_path}").problems
    assert f"{masks}. Got: {len(names)} that are not read: {', '.join(sorted(names))}." in problem


def test_masks_of_the_disc_alone_are_a_problem_and_no_source(cameras, tmp_path):
    shutil.copytree(cameras / "a", tmp_path / "a")
    for file in (tmp_path / "a" / "masks").iterdir():
        disc = np.asarray(Image.open(file)) > 0
        Image.fromarray(disc.astype(np.uint8)).save(file)
    uri = f"folder:{tmp_path / 'a'}"
    found = inspect(uri)
    expected = f"Expected a cup (2) in some mask of {uri}. Got: none in 8 masks with a disc."
    assert [problem[: len(expected)] for problem in found.problems] == [expected]
    assert (len(found.disc_shares), found.vertical_cdrs) == (8, [])

    settings = small_settings(cameras, "method=source", f"data.source={uri}")
    target, cpu = [str(cameras / "b" / "images")], torch.device("cpu")
    for learn in (
        lambda out: train(settings, out, cpu),
        lambda out: adapt(target, out, cpu, source=uri),
    ):
        with pytest.raises(InputError, match="Expected a cup .* Was the disc alone annotated"):
            learn(tmp_path / "out")
        assert not (tmp_path / "out").exists()


def test_all_problems_are_found_at_once(tmp_path):
    write_camera(tmp_path, "a", count=5, size=64, first_seed=0)
    images, masks = tmp_path / "images", tmp_path / "masks"
    (masks / "a0000.png").unlink()
    (images / "a0001.png").write_bytes(b"junk")
    Image.fromarray(np.zeros((64, 32), dtype=np.uint8)).save(masks / "a0002.png")
    Image.fromarray(np.zeros((64, 64), dtype=np.uint8)).save(masks / "a0003.png")
    Image.fromarray(np.zeros((64, 64), dtype=np.uint8)).save(masks / "a0004_mask.png")
    found = inspect(f"folder:{tmp_path}")
    assert (found.images, found.with_mask) == (5, 2)
    wanted = ["a0000", "a0001", "a0002", "a0003", "a0004_mask"]
    reasons = ["Got: none", "readable image", "mask of 64x64", "an empty mask", "image for each"]
    assert len(found.problems) == 5
    for problem, stem, reason in zip(found.problems, wanted, reasons, strict=True):
        assert stem in problem
        assert reason in problem


def test_faults_of_the_listing_do_not_stop_it(tmp_path):
    write_camera(tmp_path, "a", count=2, size=64, first_seed=0)
    picture = Image.open(tmp_path / "images" / "a0000.png")
    picture.save(tmp_path / "images" / "a0000.bmp")
    mask = tmp_path / "masks" / "a0001.png"
    Image.open(mask).save(mask.with_suffix(".tif"))
    found = inspect(f"folder:{tmp_path}")
    assert found.images == 3
    assert [problem.split(". ")[0].split(" at ")[0] for problem in found.problems] == [
        f"Expected one mask for {tmp_path}/images/a0001.png",
        "Expected one photograph per name",
    ]


def test_all_rows_of_a_manifest_are_looked_at(tmp_path):
    write_camera(tmp_path, "a", count=1, size=64, first_seed=0)
    rows = ["image,split", "images/a0000.png,train", "x.png,val", "y.png,test", "z.png,Trian"]
    (tmp_path / "list.csv").write_text("\n".join(rows))
    found = inspect(f"manifest:{tmp_path / 'list.csv'}")
    assert found.images == 1
    assert len(found.problems) == 3
    for problem, name in zip(found.problems, ("z.png", "x.png", "y.png"), strict=True):
        assert name in problem


def test_the_same_problem_of_many_masks_is_told_once(tmp_path):
    write_camera(tmp_path, "a", count=20, size=64, first_seed=0)
    for mask in (tmp_path / "masks").iterdir():
        Image.fromarray(np.eye(64, dtype=np.uint8) * 255).save(mask)
    (problem,) = inspect(str(tmp_path)).problems
    assert "masks/a0000.png. Got: 0, 255 alone, as of one structure. Write both" in problem
    assert problem.endswith("The same of 19 others: a0001.png, a0002.png, a0003.png, a0004.png, "
                            "a0005.png and 14 more.")  # fmt: skip


def test_samples_are_looked_at_from_the_first_to_the_last(monkeypatch):
    """Whole photographs may stand behind twenty crops."""
    seen = []

    def read(sample):
        seen.append(int(sample.id))
        mask = np.zeros((64, 64), np.uint8)
        side = 30 if seen[-1] < 15 else 4
        mask[:side, :side] = 1
        return mask, 0

    monkeypatch.setattr("fundus_uda.data.inspection.read_mask", read)
    samples = [Sample(str(number), Path("eye.png")) for number in range(39)]
    assert shows_whole_photographs(samples)
    assert (seen[0], seen[-1], len(seen)) == (0, 38, 20)
