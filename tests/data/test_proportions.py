import numpy as np
import pytest
import torch

from fundus_uda.data.proportions import RandCupSized, resize_cup

SIZE, DISC, CUP = 200, 60, 30


def radius_map() -> torch.Tensor:
    y, x = np.mgrid[:SIZE, :SIZE] - (SIZE - 1) / 2
    return torch.from_numpy(np.hypot(y, x))[None]


def circles() -> tuple[torch.Tensor, torch.Tensor]:
    """A disc of radius 60 with a cup of radius 30, and an image that ramps from left to right."""
    y, x = np.mgrid[:SIZE, :SIZE] - (SIZE - 1) / 2
    radius = np.hypot(y, x)
    label = torch.from_numpy((radius < DISC).astype(np.uint8) + (radius < CUP))[None]
    ramp = torch.linspace(0, 1, SIZE).expand(3, SIZE, SIZE).contiguous()
    return ramp, label


def radius_of(structure: torch.Tensor) -> float:
    return float((structure.sum() / np.pi) ** 0.5)


@pytest.mark.parametrize("gamma", [0.5, 1.0, 2.0])
def test_the_cups_radius_takes_the_inverse_power(gamma):
    _, label = resize_cup(*circles(), gamma)
    assert radius_of(label == 2) == pytest.approx(DISC * (CUP / DISC) ** (1 / gamma), abs=0.7)
    assert radius_of(label > 0) == pytest.approx(DISC, abs=0.5)


def test_nothing_moves_outside_the_disc():
    image, label = circles()
    changed, _ = resize_cup(image, label, 2.0)
    outside = (label == 0).expand_as(image)
    torch.testing.assert_close(changed[outside], image[outside], atol=1e-4, rtol=0)
    assert (changed - image).abs().max() > 0.02


def test_an_oval_discs_cup_keeps_its_proportions_to_it():
    y, x = np.mgrid[:SIZE, :SIZE] - (SIZE - 1) / 2
    rho = np.hypot(y / 70, x / 40)
    label = torch.from_numpy((rho < 1).astype(np.uint8) + (rho < 0.5))[None]
    _, changed = resize_cup(torch.zeros(3, SIZE, SIZE), label, 2.0)
    cup = changed[0] == 2
    height, width = int(cup.any(1).sum()), int(cup.any(0).sum())
    assert height / 140 == pytest.approx(0.5**0.5, abs=0.02)
    assert width / 80 == pytest.approx(0.5**0.5, abs=0.02)


def test_a_photograph_without_a_disc_is_left_alone():
    image, label = torch.rand(3, 8, 8), torch.zeros(1, 8, 8, dtype=torch.uint8)
    changed, same = resize_cup(image, label, 2.0)
    assert changed is image
    assert same is label


def drawn(seed: int, **sample: torch.Tensor) -> dict:
    transform = RandCupSized(("image", "label"), radius=(0.4, 0.8), strongest=3, prob=1)
    return transform.set_random_state(seed)(sample)


def test_cups_come_in_all_sizes_whatever_they_were():
    image, label = circles()
    radii = [radius_of(drawn(seed, image=image, label=label)["label"] == 2) for seed in range(40)]
    shares = np.array(radii) / DISC
    assert 0.38 < shares.min() < 0.45
    assert 0.75 < shares.max() < 0.82
    small = (label > 0).to(torch.uint8) + (radius_map() < 15)  # a quarter of the disc's radius
    assert radius_of(drawn(0, image=image, label=small)["label"] == 2) / DISC > 0.38


def test_the_strongest_change_is_bounded():
    image, label = circles()
    tiny = (label > 0).to(torch.uint8) + (radius_map() < 6)  # a tenth
    for seed in range(5):
        cup = drawn(seed, image=image, label=tiny)["label"] == 2
        assert radius_of(cup) / DISC < 0.1 ** (1 / 3) + 0.02


def test_the_transform_is_a_function_of_its_seed_and_spares_the_unlabelled():
    image, label = circles()
    one, again, other = (drawn(seed, image=image, label=label)["label"] for seed in (1, 1, 2))
    assert torch.equal(one, again)
    assert not torch.equal(one, other)
    assert drawn(1, image=image)["image"] is image
    cupless = (label > 0).to(torch.uint8)
    assert drawn(1, image=image, label=cupless)["label"] is cupless
