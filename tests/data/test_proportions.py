import numpy as np
import pytest
import torch

from fundus_uda.data.proportions import RandCupSized, resize_cup

SIZE, DISC, CUP = 200, 60, 30


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


def test_the_transform_is_a_function_of_its_seed_and_spares_the_unlabelled():
    image, label = circles()
    transform = RandCupSized(("image", "label"), gamma=(0.7, 2.2), prob=1)

    def drawn(seed: int) -> torch.Tensor:
        return transform.set_random_state(seed)({"image": image, "label": label})["label"]

    assert torch.equal(drawn(1), drawn(1))
    assert not torch.equal(drawn(1), drawn(2))
    assert transform({"image": image})["image"] is image
