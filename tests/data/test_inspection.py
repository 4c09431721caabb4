import numpy as np
from PIL import Image

from fundus_uda.data.inspection import inspect
from fundus_uda.data.synthetic import write_camera


def test_a_sound_folder(cameras):
    found = inspect(f"folder:{cameras / 'a'}")
    assert (found.images, found.with_mask, found.problems) == (8, 8, [])
    assert found.sizes == {"64x64": 8}
    assert all(0 < share < 1 for share in found.disc_shares)
    assert all(0 < ratio < 1 for ratio in found.vertical_cdrs)


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
    reasons = ["Got: none", "readable image", "mask of 64x64", "an empty mask", "for each mask"]
    assert len(found.problems) == 5
    for problem, stem, reason in zip(found.problems, wanted, reasons, strict=True):
        assert stem in problem
        assert reason in problem
