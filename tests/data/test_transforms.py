import numpy as np
import pytest
import torch
from monai.data import MetaTensor
from PIL import Image

from fundus_uda.data.photograph_files import read_sample
from fundus_uda.data.samples import Sample
from fundus_uda.data.synthetic import render
from fundus_uda.data.transforms import (
    RandMoved,
    content_box,
    eval_transforms,
    fixed_transforms,
    plain_transforms,
    strong_transforms,
    weak_strong_transforms,
)

MEAN, STD = (0.5, 0.4, 0.3), (0.2, 0.2, 0.2)


def save(path, array):
    Image.fromarray(np.asarray(array, dtype=np.uint8)).save(path)
    return path


@pytest.mark.parametrize("height_width", [(30, 40), (40, 30), (50, 50), (33, 100)])
def test_fixed_geometry_fits_the_longer_side_and_content_box_inverts_it(height_width, tmp_path):
    height, width = height_width
    image = save(tmp_path / "i.png", np.full((height, width, 3), 200))
    mask = save(tmp_path / "m.png", np.ones((height, width)))
    item = fixed_transforms(64)(read_sample(Sample("i", image, (mask,), "labels")))
    assert item["image"].shape == (3, 64, 64)
    rows, columns = content_box(height, width, 64)
    inside = torch.zeros(64, 64, dtype=torch.bool)
    inside[rows, columns] = True
    label = torch.as_tensor(np.asarray(item["label"]))[0]
    assert torch.equal(label == 1, inside)
    photograph = torch.as_tensor(np.asarray(item["image"]))
    assert (photograph[:, inside] >= 185).all()  # anti-aliasing darkens the outermost pixels
    assert (photograph[:, ~inside] == 0).all()


@pytest.mark.parametrize("side", [40, 150])
def test_a_label_alone_is_resized_as_beside_its_photograph(side, tmp_path):
    """Also beside one that is so large that it is reduced first."""
    pixels, classes = render("a", 0, side)
    image, mask = save(tmp_path / "i.png", pixels[:-7]), save(tmp_path / "m.png", classes[:-7])
    item = read_sample(Sample("i", image, (mask,), "labels"))
    fixed = fixed_transforms(64)
    both = fixed(item)
    for key in ("image", "label"):
        alone = fixed({key: item[key]})
        assert alone.keys() == {key}
        assert torch.equal(alone[key], both[key])


def test_plain_pipeline_normalises_each_channel(tmp_path):
    path = save(tmp_path / "i.png", np.full((8, 8, 3), (255, 0, 51)))
    item = eval_transforms(MEAN, STD)(fixed_transforms(64)(read_sample(Sample("i", path))))
    assert type(item["image"]) is torch.Tensor
    assert item["image"].dtype == torch.float32
    expected = torch.tensor([(1 - 0.5) / 0.2, (0 - 0.4) / 0.2, (0.2 - 0.3) / 0.2])
    torch.testing.assert_close(item["image"][:, 32, 32], expected)


def test_image_and_label_are_augmented_together(tmp_path):
    """The label is the thresholded image, and must stay so under flip, turn, scale and shift."""
    structure = np.zeros((64, 64))
    structure[10:30, 20:50] = 1
    image = save(tmp_path / "i.png", np.repeat(structure[..., None] * 255, 3, axis=2))
    mask = save(tmp_path / "m.png", structure)
    item = fixed_transforms(64)(read_sample(Sample("i", image, (mask,), "labels")))
    augment = plain_transforms((0.0,) * 3, (1.0,) * 3)
    for seed in range(8):
        augment.reseed(seed)
        augmented = augment(dict(item))
        assert augmented["label"].dtype == torch.int64
        bright = augmented["image"][0] > augmented["image"][0].max() / 2
        assert (bright == (augmented["label"] == 1)).float().mean() > 0.97


def test_augmentation_is_a_function_of_its_seed(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 255, (64, 64, 3))
    item = fixed_transforms(64)(read_sample(Sample("i", save(tmp_path / "i.png", pixels))))
    augment = plain_transforms(MEAN, STD)

    def augmented(seed):
        augment.reseed(seed)
        return augment(dict(item))["image"]

    first = augmented(1)
    augmented(2)
    assert torch.equal(first, augmented(1))
    assert not torch.equal(first, augmented(2))


def test_the_strong_view_shows_the_same_geometry_in_other_colours():
    image = torch.full((3, 64, 64), 60, dtype=torch.uint8)
    image[:, 20:26, 38:46] = 250
    transform = weak_strong_transforms((0.0,) * 3, (1.0,) * 3)
    differ = 0
    for seed in range(5):
        transform.reseed(seed)
        views = transform({"image": image.clone()})
        weak, strong = views["image"].mean(0), views["strong"].mean(0)
        spot = weak > weak.median() + 0.5
        if spot.any():
            assert strong[spot].mean() > strong[~spot].mean() + 0.1
        differ += not torch.allclose(weak, strong, atol=0.02)
        assert views["strong"].min() >= 0
        assert views["strong"].max() <= 1
    assert differ >= 3


def test_strong_transforms_move_image_and_label_together():
    label = torch.zeros(1, 64, 64, dtype=torch.uint8)
    label[:, 16:48, 20:44] = 1
    image = 200 * label.expand(3, 64, 64) + 20
    for seed in range(5):
        transform = strong_transforms((0.0,) * 3, (1.0,) * 3)
        transform.reseed(seed)
        drawn = transform({"image": image.clone(), "label": label.clone()})
        brightness = drawn["image"].mean(0)
        disc = drawn["label"] == 1
        assert 0 < disc.sum() < disc.numel()
        assert brightness[disc].mean() > brightness[~disc].mean() + 0.2


def disc_of(radius, side=64):
    y, x = np.mgrid[:side, :side] - (side - 1) / 2
    return torch.from_numpy(np.hypot(y, x) < radius)[None].to(torch.uint8)


@pytest.mark.parametrize("zoom", [0.5, 1.0, 1.5])
def test_an_image_is_magnified_by_its_own_zoom(zoom):
    label = disc_of(12)
    item = {"image": 255 * label.expand(3, 64, 64).float(), "label": label, "zoom": zoom}
    areas = []
    for seed in range(10):
        moved = RandMoved((1.0, 1.0)).set_random_state(seed)(item)
        areas.append(float(moved["label"].sum()))
    assert np.mean(areas) == pytest.approx(zoom**2 * float(label.sum()), rel=0.06)


def test_a_margin_repeats_the_edge_and_mirrors_no_disc():
    label = disc_of(30)  # two pixels from the edge, which a mirror would show again
    item = {"image": label.expand(3, 64, 64).float(), "label": label, "zoom": 0.5}
    moved = RandMoved((1.0, 1.0)).set_random_state(0)(item)
    assert float(moved["label"].sum()) == pytest.approx(0.25 * float(label.sum()), rel=0.06)


def test_a_mirrored_image_is_mirrored_from_left_to_right():
    image = torch.zeros(3, 64, 64)
    image[:, 28:36, :20] = 1  # at the left
    left = [
        moved["image"][0, :, :32].sum() > moved["image"][0, :, 32:].sum()
        for seed in range(20)
        if (moved := RandMoved((1.0, 1.0)).set_random_state(seed)({"image": image}))
    ]
    assert 4 < sum(left) < 16


def test_images_at_network_size_are_plain_tensors():
    item = fixed_transforms(64)({"image": torch.zeros(3, 80, 90, dtype=torch.uint8)})
    assert not isinstance(item["image"], MetaTensor)
