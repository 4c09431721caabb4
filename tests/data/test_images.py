import numpy as np
import pytest
import torch
from PIL import Image

from fundus_uda.data.datasets import load_samples
from fundus_uda.data.images import FundusImages
from fundus_uda.data.samples import without_masks
from fundus_uda.data.synthetic import write_camera
from fundus_uda.data.transforms import random_transforms
from fundus_uda.engine.batches import SampleKey
from fundus_uda.errors import InputError

AUGMENT = random_transforms((0.5,) * 3, (0.5,) * 3)


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
