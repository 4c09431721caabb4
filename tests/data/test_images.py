import os
import subprocess
import sys

import numpy as np
import pytest
import torch
from monai.transforms import Compose
from PIL import Image

from fundus_uda.data.datasets import load_samples
from fundus_uda.data.images import FundusImages
from fundus_uda.data.samples import without_masks
from fundus_uda.data.synthetic import write_camera
from fundus_uda.data.transforms import content_box, fixed_transforms, plain_transforms
from fundus_uda.engine.batches import SampleKey
from fundus_uda.errors import InputError

AUGMENT = plain_transforms((0.5,) * 3, (0.5,) * 3)


def test_a_sample_is_a_function_of_its_key(cameras):
    images = FundusImages(load_samples(f"folder:{cameras / 'a'}"), 64, AUGMENT)
    first = images[SampleKey(2, 7)]
    images[SampleKey(1, 9)]
    again = images[SampleKey(2, 7)]
    assert torch.equal(first["image"], again["image"])
    assert torch.equal(first["label"], again["label"])
    assert not torch.equal(first["image"], images[SampleKey(2, 8)]["image"])


def test_shapes_and_types(cameras):
    images = FundusImages(load_samples(f"folder:{cameras / 'a'}"), 96, AUGMENT)
    sample = images[SampleKey(0, 0)]
    assert (sample["image"].shape, sample["image"].dtype) == ((3, 96, 96), torch.float32)
    assert (sample["label"].shape, sample["label"].dtype) == ((96, 96), torch.int64)
    assert len(images) == 8


def test_an_unlabelled_sample_has_no_label(cameras):
    samples = without_masks(load_samples(f"folder:{cameras / 'b'}"))
    assert set(FundusImages(samples, 64, AUGMENT)[SampleKey(0, 0)]) == {"image"}


def test_labels_of_which_none_shows_a_disc_are_refused(tmp_path):
    write_camera(tmp_path, "a", count=2, size=64, first_seed=0)
    samples = load_samples(f"folder:{tmp_path}")
    blank = Image.fromarray(np.zeros((64, 64), dtype=np.uint8))
    blank.save(tmp_path / "masks" / "a0000.png")
    assert len(FundusImages(samples, 64, AUGMENT)) == 2  # one disc is enough to learn from
    blank.save(tmp_path / "masks" / "a0001.png")
    with pytest.raises(InputError, match="Got: 2 masks without one, .*a0000.png. Look at them"):
        FundusImages(samples, 64, AUGMENT)


def test_large_photographs_need_no_gigabytes(cameras, tmp_path):
    """Six of 12 megapixels, with masks, in a process of its own."""
    y, x = np.mgrid[:3000, :4000]
    picture = np.stack([y % 256, x % 256, (x + y) % 256], axis=-1).astype(np.uint8)
    mask = (np.hypot(y - 1500, x - 2000) < 900).astype(np.uint8)
    for folder, image in (("images", picture), ("masks", mask)):
        (tmp_path / folder).mkdir()
        Image.fromarray(image).save(tmp_path / folder / "0.png", compress_level=1)
        for number in range(1, 6):
            os.link(tmp_path / folder / "0.png", tmp_path / folder / f"{number}.png")
    code = f"""
import resource
from fundus_uda.data.datasets import load_samples
from fundus_uda.data.images import FundusImages
from fundus_uda.data.transforms import eval_transforms
samples = load_samples("folder:{tmp_path}")
small = load_samples("folder:{cameras / "a"}")
FundusImages(small, 64, eval_transforms((0.5,) * 3, (0.5,) * 3))  # loads what it needs
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
images = FundusImages(samples, 256, eval_transforms((0.5,) * 3, (0.5,) * 3))
print(len(images), (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024)
"""
    run = [sys.executable, "-c", code]
    printed = subprocess.run(run, capture_output=True, text=True, check=True).stdout
    count, megabytes = map(int, printed.split())
    assert count == 6
    assert megabytes < 500


@pytest.mark.parametrize("shape", [(700, 1001), (1001, 333), (4000, 65)])
def test_a_reduced_photograph_lies_where_the_whole_one_did(shape):
    """In the box of the network's input from which predictions are taken, and looks the same."""
    height, width = shape
    picture = torch.zeros(3, height, width, dtype=torch.uint8)
    picture[:, height // 4 : -height // 4, width // 4 : -width // 4] = 200
    fixed = fixed_transforms(96)({"image": picture})["image"]
    rows, columns = content_box(height, width, 96)
    assert fixed[:, rows, columns].float().mean() == pytest.approx(50, abs=6)
    outside = fixed.clone()
    outside[:, rows, columns] = 0
    assert not outside.any()
    by_monai = Compose(fixed_transforms(96).compose.transforms[1:])({"image": picture})["image"]
    assert fixed.shape == by_monai.shape
    assert (fixed.float() - by_monai.float()).abs().mean() < 2


def test_a_large_cache_says_its_size(cameras, capsys, monkeypatch):
    samples = load_samples(f"folder:{cameras / 'a'}")
    FundusImages(samples, 64, AUGMENT)
    assert capsys.readouterr().err == ""
    monkeypatch.setattr("fundus_uda.data.images.LARGE_CACHE", 1e-4)
    FundusImages(samples, 64, AUGMENT)
    said = "8 photographs of 64x64 pixels are kept in memory: 0.0 GB.\n"
    assert capsys.readouterr().err == said
