import numpy as np
import pytest
import torch
from PIL import Image

from fundus_uda.engine.batches import SampleKey, batch_stream
from fundus_uda.errors import InputError
from roadscene import images
from roadscene.data import Frame
from roadscene.images import Normalisation, RoadImages, network_input
from roadscene.model import NORMALISATIONS
from tests.fixtures.tiny_streets import ids_of, write_ids, write_image

PLAIN = Normalisation("RGB", (0.0, 0.0, 0.0))
RED, GREEN, BLUE = 200.0, 100.0, 50.0
PIXEL = Image.new("RGB", (4, 2), (200, 100, 50))


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("bgr", (BLUE - 104.00698793, GREEN - 116.66876762, RED - 122.67891434)),
        ("bgr_minus_rgb_mean", (BLUE - 122.67891434, GREEN - 116.66876762, RED - 104.00698793)),
        (
            "torchvision",
            ((RED / 255 - 0.485) / 0.229, (GREEN / 255 - 0.456) / 0.224,
             (BLUE / 255 - 0.406) / 0.225),
        ),
    ],
)  # fmt: skip
def test_channel_and_mean_order(name, expected):
    image = network_input(PIXEL, (2, 4), NORMALISATIONS[name])
    assert image.shape == (3, 2, 4)
    assert image.dtype == torch.float32
    torch.testing.assert_close(image[:, 1, 3], torch.tensor(expected), rtol=0, atol=2e-4)


def test_bicubic_smooths_as_it_shrinks_and_bilinear_keeps_the_corners():
    pixels = np.zeros((4, 8, 3), np.uint8)
    pixels[0, 0] = 255
    corner = [
        network_input(Image.fromarray(pixels), (2, 4), PLAIN, how)[0, 0, 0].item()
        for how in ("bicubic", "bilinear")
    ]
    assert corner[0] < 128
    assert corner[1] == 255


def test_sample_has_the_network_size_and_its_own_ids(tmp_path):
    image, label = tmp_path / "image.png", tmp_path / "label.png"
    write_image(image)
    write_ids(label, np.repeat([[7], [8]], [3, 3], axis=0).repeat(8, axis=1))
    dataset = RoadImages([Frame("x", image, label, "gta5"), Frame("y", image)], (4, 10), 19, PLAIN)
    sample = dataset[SampleKey(0, 123)]
    assert len(dataset) == 2
    assert sample["image"].shape == (3, 4, 10)
    assert sample["label"].dtype == torch.int64
    assert sample["label"].tolist() == [[0] * 10] * 2 + [[1] * 10] * 2
    assert dataset[SampleKey(1, 0)].keys() == {"image"}
    assert torch.equal(dataset[SampleKey(0, 5)]["image"], sample["image"])  # nothing is random


@pytest.mark.parametrize("room", [1e9, 0])
def test_a_frame_is_read_once_if_all_of_them_fit_into_memory(room, tmp_path, monkeypatch):
    monkeypatch.setattr(images, "MOST_CACHED", room)
    image, label = tmp_path / "image.png", tmp_path / "label.png"
    write_image(image)
    write_ids(label, ids_of([7, 8, 11]))
    read, whole = [], images.read_frame
    monkeypatch.setattr(images, "read_frame", lambda *a: (read.append(1), whole(*a))[1])
    dataset = RoadImages([Frame("x", image, label, "cityscapes")], (4, 10), 19, PLAIN)
    assert len(read) == (1 if room else 0)
    first, second = (dataset[SampleKey(0, seed)] for seed in (0, 1))
    assert len(read) == (1 if room else 2)
    for name, value in first.items():
        assert torch.equal(second[name], value)
    expected = network_input(Image.open(image), (4, 10), PLAIN)
    assert torch.equal(first["image"], expected)


def test_processes_that_load_batches_inherit_what_was_read(tmp_path, monkeypatch):
    """However often they are begun anew, as they are where the draws of a source change."""
    image = tmp_path / "image.png"
    write_image(image)
    dataset = RoadImages([Frame("x", image)], (4, 10), 19, PLAIN)
    image.unlink()
    for start in (0, 1):
        stream = batch_stream(dataset, batch_size=2, seed=0, domain="target", start=start,
                              workers=1, pin_memory=False)  # fmt: skip
        assert next(stream).image.shape == (2, 3, 4, 10)
        stream.close()


def test_label_of_another_size_is_refused(tmp_path):
    image, label = tmp_path / "image.png", tmp_path / "label.png"
    write_image(image)
    write_ids(label, ids_of([7], (6, 9)))
    with pytest.raises(InputError, match="label of 8x6 for .*image.png. Got: 9x6 in .*label.png"):
        RoadImages([Frame("x", image, label, "cityscapes")], (4, 4), 19, PLAIN)


def test_gta5_label_may_differ_by_a_few_rows(tmp_path):
    image, label = tmp_path / "image.png", tmp_path / "label.png"
    write_image(image, (200, 300))
    write_ids(label, ids_of([7], (199, 300)))
    dataset = RoadImages([Frame("x", image, label, "gta5")], (4, 4), 19, PLAIN)
    assert not dataset[SampleKey(0, 0)]["label"].any()
