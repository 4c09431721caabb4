"""Each equation against a slow loop written from the paper, values and gradients."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from fundus_uda.affinity import (
    adversarial_loss,
    affinity_cleaning_loss,
    affinity_map,
    affinity_space,
    discriminator_loss,
    fused,
    mean_affinity,
    segmentation_loss,
)

EIGHT = [(-1, -1), (-1, 0), (-1, 1), (0, -1), (0, 1), (1, -1), (1, 0), (1, 1)]
FOUR = [(-1, 0), (0, -1), (0, 1), (1, 0)]
OFFSETS = {4: FOUR, 8: EIGHT}


@pytest.fixture(params=["C++", "torch"])
def each_core(request, monkeypatch):
    """Both ways to compute the affinity space."""
    if request.param == "torch":
        monkeypatch.setattr(fused, "computes", lambda *_: False)


def random_logits(*shape: int) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    return 3 * torch.randn(*shape, generator=generator, dtype=torch.float64)


def pairs(prob: Tensor, offsets: list[tuple[int, int]]):
    """(b, n, y, x, P_x, P_n) pixel by pixel; a neighbour outside is the nearest pixel inside."""
    batch, _, height, width = prob.shape
    for b in range(batch):
        for n, (dy, dx) in enumerate(offsets):
            for y in range(height):
                for x in range(width):
                    ny, nx = min(max(y + dy, 0), height - 1), min(max(x + dx, 0), width - 1)
                    yield b, n, y, x, prob[b, :, y, x], prob[b, :, ny, nx]


def slow_affinity_space(prob: Tensor, neighbors: int, eps: float = 1e-4) -> Tensor:
    batch, classes, height, width = prob.shape
    space = torch.zeros(batch, neighbors, classes, height, width, dtype=prob.dtype)
    prob = prob.clamp(eps, 1 - eps)
    for b, n, y, x, p_x, p_n in pairs(prob, OFFSETS[neighbors]):
        space[b, n, :, y, x] = p_x * (p_x / p_n).log() + (1 - p_x) * ((1 - p_x) / (1 - p_n)).log()
    return space.flatten(1, 2)


def slow_similarity_map(prob: Tensor, offsets: list[tuple[int, int]], norms: bool) -> Tensor:
    total = torch.zeros(prob.shape[0], *prob.shape[2:], dtype=prob.dtype)
    for b, _, y, x, p_x, p_n in pairs(prob, offsets):
        scale = p_x.norm() * p_n.norm() if norms else 1.0
        total[b, y, x] = total[b, y, x] + (p_x @ p_n) / scale / len(offsets)
    return total


def value_and_gradient(function, logits: Tensor) -> tuple[Tensor, Tensor]:
    logits = logits.clone().requires_grad_()
    value = function(logits.softmax(dim=1))
    weights = torch.linspace(-1, 1, value.numel(), dtype=value.dtype).reshape(value.shape)
    (gradient,) = torch.autograd.grad((value * weights).sum(), logits)
    return value.detach(), gradient


def assert_same(ours, reference, logits: Tensor) -> None:
    for mine, theirs in zip(
        value_and_gradient(ours, logits), value_and_gradient(reference, logits), strict=True
    ):
        torch.testing.assert_close(mine, theirs, rtol=1e-9, atol=1e-10)


@pytest.mark.usefixtures("each_core")
@pytest.mark.parametrize("neighbors", [4, 8])
def test_affinity_space_is_the_papers_formula(neighbors):
    assert_same(
        lambda prob: affinity_space(prob, neighbors),
        lambda prob: slow_affinity_space(prob, neighbors),
        random_logits(2, 3, 3, 4),
    )


def test_affinity_space_by_hand_and_in_channel_order():
    # One row of two pixels, p = (0.8, 0.2) and (0.3, 0.7).
    prob = torch.tensor([[[[0.8, 0.3]], [[0.2, 0.7]]]], dtype=torch.float64)
    space = affinity_space(prob, neighbors=4).reshape(4, 2, 2)  # neighbour, class, x
    to_right = 0.8 * math.log(0.8 / 0.3) + 0.2 * math.log(0.2 / 0.7)
    to_left = 0.3 * math.log(0.3 / 0.8) + 0.7 * math.log(0.7 / 0.2)
    up, left, right, down = 0, 1, 2, 3
    assert space[right, 0, 0].item() == pytest.approx(to_right)
    assert space[right, 1, 0].item() == pytest.approx(to_right)  # two classes mirror each other
    assert space[left, 0, 1].item() == pytest.approx(to_left)
    copies_of_the_pixel = [space[up], space[down], space[left, :, 0], space[right, :, 1]]
    assert max(copy.abs().max().item() for copy in copies_of_the_pixel) < 1e-15


def test_affinity_space_of_opposite_one_hots_is_its_maximum():
    prob = torch.tensor([[[[1.0, 0.0]], [[0.0, 1.0]]]], dtype=torch.float64)
    eps = 1e-4
    maximum = (1 - 2 * eps) * math.log((1 - eps) / eps)
    assert affinity_space(prob, eps=eps).max().item() == pytest.approx(maximum)


@pytest.mark.parametrize(
    ("neighbors", "total", "squares", "first", "last"),
    [
        (8, 79.86794848930667, 92.90710172744348, 0.0019203375101770268, 0.008291701464897754),
        (4, 34.01419245536107, 36.57561768695757, 0.003591032636300024, 0.06642535476743414),
    ],
)
def test_released_measure_has_the_numbers_of_the_authors_code(
    neighbors, total, squares, first, last
):
    """Recorded from the functions of the authors' public repository on this input."""
    prob = (4 * torch.sin(torch.arange(36, dtype=torch.float64))).reshape(1, 3, 3, 4).softmax(1)
    space = affinity_space(prob, neighbors, measure="released")
    assert space.sum().item() == pytest.approx(total, rel=1e-12)
    assert space.square().sum().item() == pytest.approx(squares, rel=1e-12)
    assert space[0, 0, 1, 1].item() == pytest.approx(first, rel=1e-12)
    assert space[0, -1, 2, 0].item() == pytest.approx(last, rel=1e-12)


def test_released_measure_of_one_hots_by_hand():
    """Each factor and each logarithm is clamped at eps, so that no 0 log 0 arises."""
    prob = torch.tensor([[[[1.0, 0.0]], [[0.0, 1.0]]]], dtype=torch.float64)
    eps = 0.01
    space = affinity_space(prob, neighbors=4, measure="released", eps=eps).reshape(4, 2, 2)
    up, left, right, down = 0, 1, 2, 3
    for n in (up, down):  # copies of the pixel: q = p_x
        assert space[n].tolist() == [[0, 0], [0, 0]]
    across = (1 - eps) * math.log(1 / eps)  # p_x = 1, q = 0
    assert space[right, :, 0].tolist() == pytest.approx([across, 0])
    assert space[left, :, 1].tolist() == pytest.approx([0, across])


def test_released_cleaning_loss_has_the_numbers_of_the_authors_code():
    prob = (4 * torch.sin(torch.arange(36, dtype=torch.float64))).reshape(1, 3, 3, 4).softmax(1)
    for neighbors, expected in ((8, 0.6271479356314601), (4, 0.5756728312154307)):
        loss = affinity_cleaning_loss(prob, neighbors, similarity="dot").item()
        assert loss == pytest.approx(expected, rel=1e-12)


@pytest.mark.usefixtures("each_core")
@pytest.mark.parametrize("measure", ["bernoulli_kl", "released"])
@pytest.mark.parametrize("neighbors", [4, 8])
def test_affinity_space_gradcheck(measure, neighbors):
    logits = random_logits(1, 3, 3, 3).requires_grad_()
    assert torch.autograd.gradcheck(
        lambda logits: affinity_space(logits.softmax(dim=1), neighbors, measure), (logits,)
    )


@pytest.mark.parametrize("similarity", ["cosine", "dot"])
def test_affinity_cleaning_gradcheck(similarity):
    logits = random_logits(2, 3, 3, 4).requires_grad_()
    assert torch.autograd.gradcheck(
        lambda logits: affinity_cleaning_loss(logits.softmax(dim=1), 8, similarity), (logits,)
    )


@pytest.mark.parametrize("neighbors", [4, 8])
@pytest.mark.parametrize("similarity", ["cosine", "dot"])
def test_affinity_cleaning_loss_is_equation_1(neighbors, similarity):
    assert_same(
        lambda prob: affinity_cleaning_loss(prob, neighbors, similarity),
        lambda prob: (
            1 - slow_similarity_map(prob, OFFSETS[neighbors], similarity == "cosine").mean()
        ),
        random_logits(2, 3, 3, 4),
    )


@pytest.mark.parametrize("function", [affinity_space, affinity_map, affinity_cleaning_loss])
def test_a_channels_last_prediction_has_the_same_values_and_gradients(function):
    logits = random_logits(2, 3, 4, 5)
    last = logits.contiguous(memory_format=torch.channels_last)
    for mine, theirs in zip(
        value_and_gradient(function, last), value_and_gradient(function, logits), strict=True
    ):
        torch.testing.assert_close(mine, theirs, rtol=1e-12, atol=1e-14)


@pytest.mark.usefixtures("each_core")
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_affinity_space_has_second_derivatives(layout):
    logits = random_logits(1, 3, 3, 3).contiguous(memory_format=layout).requires_grad_()
    assert torch.autograd.gradgradcheck(
        lambda logits: affinity_space(logits.softmax(dim=1).contiguous(memory_format=layout)),
        (logits,),
    )


def test_the_norms_of_the_cleaning_loss_are_those_of_normalize():
    prob = random_logits(2, 3, 5, 4).softmax(dim=1).float()
    normalised = torch.nn.functional.normalize(prob, dim=1)
    ours = affinity_cleaning_loss(prob)
    torch.testing.assert_close(ours, affinity_cleaning_loss(normalised, similarity="dot"))


def test_affinity_of_a_zero_vector_is_zero_with_a_finite_gradient():
    prob = torch.zeros(1, 3, 4, 4).requires_grad_()
    affinity_cleaning_loss(prob).backward()
    assert torch.equal(affinity_map(prob.detach()), torch.zeros(1, 4, 4))
    assert prob.grad is not None
    assert prob.grad.isfinite().all()


def test_affinity_cleaning_sum_is_the_mean_times_the_neighbours():
    prob = random_logits(1, 3, 4, 4).softmax(dim=1)
    for neighbors in (4, 8):
        mean = affinity_cleaning_loss(prob, neighbors)
        total = affinity_cleaning_loss(prob, neighbors, reduction="sum")
        assert total.item() == pytest.approx(neighbors * mean.item())


def test_affinity_cleaning_of_a_uniform_prediction():
    prob = torch.full((1, 19, 3, 3), 1 / 19, dtype=torch.float64)
    assert affinity_cleaning_loss(prob).item() == pytest.approx(0, abs=1e-12)
    assert affinity_cleaning_loss(prob, similarity="dot").item() == pytest.approx(1 - 1 / 19)


def test_affinity_map_is_the_mean_cosine_and_its_diagonal_of_four():
    diagonal = [offset for offset in EIGHT if 0 not in offset]
    logits = random_logits(2, 3, 3, 5)
    assert_same(affinity_map, lambda prob: slow_similarity_map(prob, EIGHT, True), logits)
    assert_same(
        lambda prob: affinity_map(prob, directions="diagonal"),
        lambda prob: slow_similarity_map(prob, diagonal, True),
        logits,
    )


def test_affinity_map_is_low_only_beside_an_edge():
    prob = torch.zeros(1, 2, 4, 6)
    prob[:, 0, :, :3], prob[:, 1, :, 3:] = 1, 1
    expected = torch.ones(4, 6)
    expected[:, 2:4] = 5 / 8  # three of eight neighbours are across
    torch.testing.assert_close(affinity_map(prob)[0], expected)


def test_mean_affinity_averages_each_image():
    prob = random_logits(3, 4, 5, 6).softmax(dim=1)
    torch.testing.assert_close(mean_affinity(prob), affinity_map(prob).mean(dim=(1, 2)))


@settings(max_examples=25, deadline=None)
@given(
    st.integers(1, 3), st.integers(2, 5), st.integers(1, 6), st.integers(1, 6), st.integers(0, 99)
)
def test_ranges_hold_for_any_prediction(batch, classes, height, width, seed):
    generator = torch.Generator().manual_seed(seed)
    logits = 20 * torch.randn(batch, classes, height, width, generator=generator)
    prob = logits.softmax(dim=1)
    space = affinity_space(prob)
    assert space.shape == (batch, 8 * classes, height, width)
    assert space.min() >= -1e-5
    assert space.max() <= math.log(1e4)
    assert 0 <= affinity_cleaning_loss(prob).item() + 1e-6 <= 1 + 2e-6
    assert affinity_map(prob).shape == (batch, height, width)


def test_a_turned_prediction_has_the_turned_affinity_map():
    prob = random_logits(1, 3, 4, 7).softmax(dim=1)
    turned = torch.rot90(prob, dims=(2, 3))
    torch.testing.assert_close(affinity_map(turned), torch.rot90(affinity_map(prob), dims=(1, 2)))


@pytest.mark.parametrize("function", [affinity_space, affinity_map, affinity_cleaning_loss])
def test_half_precision_is_computed_in_float32(function):
    prob = random_logits(1, 3, 4, 4).softmax(dim=1)
    for dtype in (torch.float16, torch.bfloat16):
        half = prob.to(dtype)
        assert function(half).dtype == torch.float32
        torch.testing.assert_close(function(half), function(half.float()))


def test_segmentation_loss_is_equation_2_over_labelled_pixels():
    logits = random_logits(2, 3, 2, 2).float()
    label = torch.tensor([[[0, 1], [255, 2]], [[255, 255], [1, 0]]])
    terms = [
        -logits[b].log_softmax(dim=0)[label[b, y, x], y, x]
        for b in range(2)
        for y in range(2)
        for x in range(2)
        if label[b, y, x] != 255
    ]
    torch.testing.assert_close(segmentation_loss(logits, label), torch.stack(terms).mean())


def test_segmentation_loss_of_a_single_labelled_pixel_is_its_cross_entropy():
    """In float64 too, whose weights are float32 ones."""
    logits = random_logits(1, 3, 2, 2)
    label = torch.tensor([[[255, 255], [2, 255]]])
    expected = -logits.log_softmax(dim=1)[0, 2, 1, 0]
    torch.testing.assert_close(segmentation_loss(logits, label), expected)
    weights = torch.tensor([1.0, 2.0, 0.5])
    weighted = segmentation_loss(logits, label, weight_of_class=weights)
    torch.testing.assert_close(weighted, 0.5 * expected)
    of_half = segmentation_loss(logits.half(), label, weight_of_class=weights)
    assert of_half.dtype == torch.float32


def test_segmentation_loss_gradcheck():
    logits = random_logits(1, 3, 2, 2).requires_grad_()
    label = torch.tensor([[[0, 255], [2, 1]]])
    assert torch.autograd.gradcheck(lambda logits: segmentation_loss(logits, label), (logits,))


def test_domain_losses_gradcheck_and_gradients_by_hand():
    """The gradient of Eqs. 4 and 5 is (D - z) over the number of positions."""
    logits = random_logits(2, 1, 3, 3).requires_grad_()
    D = logits.detach().sigmoid()
    of_source = (lambda d: discriminator_loss(d, "source"), D - 1)
    of_target = (lambda d: discriminator_loss(d, "target"), D)
    for loss, expected in (of_source, of_target, (adversarial_loss, D - 1)):
        assert torch.autograd.gradcheck(loss, (logits,))
        (gradient,) = torch.autograd.grad(loss(logits), logits)
        torch.testing.assert_close(gradient, expected / D.numel())


def test_segmentation_loss_without_a_labelled_pixel_is_zero_with_zero_gradient():
    logits = random_logits(1, 3, 2, 2).requires_grad_()
    loss = segmentation_loss(logits, torch.full((1, 2, 2), 255))
    loss.backward()
    assert loss.item() == 0
    assert logits.grad.abs().max() == 0


def test_domain_losses_are_equations_4_and_5():
    logits = random_logits(2, 1, 3, 3)
    D = logits.sigmoid()
    torch.testing.assert_close(discriminator_loss(logits, "source"), -D.log().mean())
    torch.testing.assert_close(discriminator_loss(logits, "target"), -(1 - D).log().mean())
    torch.testing.assert_close(adversarial_loss(logits), -D.log().mean())


def test_affinity_space_can_be_differentiated_twice():
    prob = random_logits(1, 2, 3, 3).softmax(dim=1).requires_grad_()
    assert torch.autograd.gradgradcheck(lambda prob: affinity_space(prob), (prob,))


def test_domain_losses_stay_finite_for_a_certain_discriminator():
    assert adversarial_loss(torch.tensor([-500.0])).item() == pytest.approx(500)
    assert discriminator_loss(torch.tensor([500.0]), "source").item() == 0


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda p: affinity_space(p[0]), r"Expected probabilities of shape \(B, C, H, W\)"),
        (lambda p: affinity_space(p.long()), "torch.int64"),
        (lambda p: affinity_space(p, neighbors=6), "Expected `neighbors` to be 4 or 8. Got: 6"),
        (lambda p: affinity_space(p, measure="kl"), "Expected `measure` to be .* Got: 'kl'"),
        (lambda p: affinity_space(p, eps=0.5), r"Expected `eps` in \(0, 0.5\). Got: 0.5"),
        (lambda p: affinity_space(p, eps=0), r"Expected `eps` in \(0, 0.5\). Got: 0"),
        (lambda p: affinity_map(p, directions="up"), "Expected `directions`"),
        (lambda p: affinity_cleaning_loss(p, similarity="l2"), "Expected `similarity`"),
        (lambda p: affinity_cleaning_loss(p, reduction="max"), "Expected `reduction`"),
        (lambda p: discriminator_loss(p, "train"), "Expected `domain`"),
    ],
)
def test_wrong_arguments_are_named(call, message):
    with pytest.raises(ValueError, match=message):
        call(torch.full((1, 2, 3, 3), 0.5))
