"""The affinity space in C++ against torch's operations, and how it is built."""

import ctypes
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch

from fundus_uda.affinity import affinity_space, fused

SHAPES = [(1, 1, 1, 1), (1, 2, 1, 5), (2, 1, 4, 1), (1, 3, 2, 2), (2, 3, 3, 7), (1, 2, 70, 33)]
needs_compiler = pytest.mark.skipif(not isinstance(fused._found(), ctypes.CDLL), reason="no C++")


@pytest.fixture
def by_torch(monkeypatch):
    """A function that computes with torch's operations."""

    def compute(function, *arguments):
        with monkeypatch.context() as patch:
            patch.setattr(fused, "computes", lambda *_: False)
            return function(*arguments)

    return compute


def value_and_gradient(prob, neighbors=8, layout=torch.contiguous_format):
    generator = torch.Generator().manual_seed(1)
    inputs = prob.clone(memory_format=layout).requires_grad_()
    space = affinity_space(inputs, neighbors)
    upstream = torch.randn(space.shape, generator=generator, dtype=torch.float64).to(prob.dtype)
    space.backward(upstream.contiguous(memory_format=layout))
    return space.detach(), inputs.grad


def prediction(shape, dtype):
    """Confident in places: beyond both bounds of the clamp too."""
    generator = torch.Generator().manual_seed(0)
    logits = 8 * torch.randn(shape, generator=generator, dtype=torch.float64)
    return logits.sigmoid().to(dtype)


@needs_compiler
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("neighbors", [4, 8])
@pytest.mark.parametrize("shape", SHAPES)
def test_values_and_gradients_are_those_of_torch(shape, neighbors, dtype, by_torch):
    prob = prediction(shape, dtype)
    assert fused.computes(prob, 1e-4)
    ours, theirs = (
        value_and_gradient(prob, neighbors),
        by_torch(value_and_gradient, prob, neighbors),
    )
    tolerance = {"rtol": 1e-4, "atol": 1e-5} if dtype == torch.float32 else {}
    for mine, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(mine, other, **tolerance)


@needs_compiler
def test_float32_is_as_close_to_float64_as_torch_is(by_torch):
    prob = prediction((1, 2, 64, 64), torch.float32)
    exact = by_torch(value_and_gradient, prob.double())
    ours, theirs = value_and_gradient(prob), by_torch(value_and_gradient, prob)
    for truth, mine, other in zip(exact, ours, theirs, strict=True):
        assert (mine - truth).abs().max() <= 2 * (other - truth).abs().max()


@needs_compiler
def test_results_depend_neither_on_threads_nor_on_the_layout(monkeypatch):
    monkeypatch.setattr(fused, "PIXELS_OF_THREAD", 1)
    prob = prediction((2, 3, 70, 40), torch.float32)
    expected = value_and_gradient(prob)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 3)
    for layout in (torch.contiguous_format, torch.channels_last):
        for mine, one in zip(value_and_gradient(prob, layout=layout), expected, strict=True):
            assert torch.equal(mine, one)


@needs_compiler
def test_a_large_result_is_written_past_the_caches_with_the_same_values():
    prob = prediction((1, 4, 370, 371), torch.float32)  # 17.6 MB, in rows that are not aligned
    whole = affinity_space(prob)
    strip = affinity_space(prob[:, :, :100])
    assert torch.equal(whole[:, :, :99], strip[:, :, :99])


@needs_compiler
def test_a_prediction_that_is_not_finite_stays_so():
    prob = torch.full((1, 1, 3, 3), 0.5)
    prob[0, 0, 1, 1] = torch.nan
    space, gradient = value_and_gradient(prob)
    assert space.isnan().sum() == 16
    assert gradient.isnan().all()


def test_what_has_no_memory_or_another_type_is_left_to_torch():
    for prob, eps in (
        (torch.rand(1, 2, 4, 4, device="meta"), 1e-4),
        (torch.rand(1, 2, 4, 4).half(), 1e-4),
        (torch.rand(1, 2, 4, 4), 1e-9),
        (torch.rand(0, 2, 4, 4), 1e-4),
    ):
        assert not fused.computes(prob, eps)


@pytest.fixture
def nothing_built(tmp_path, monkeypatch):
    monkeypatch.setenv("FUNDUS_UDA_CACHE", str(tmp_path / "cache"))
    fused._found.cache_clear()
    yield tmp_path / "cache"
    fused._found.cache_clear()


@pytest.mark.parametrize(
    ("compiler", "reason"),
    [("no-such-compiler", "there is no compiler of C"), ("false", "false failed: no reason")],
)
def test_without_a_compiler_torch_computes_the_same_and_the_reason_is_told(
    compiler, reason, nothing_built, monkeypatch
):
    monkeypatch.setenv("CXX", compiler)
    assert fused.which().startswith("torch, since ")
    assert reason in fused.which()
    prob = torch.tensor([[0.8, 0.5], [0.2, 0.5]]).reshape(1, 2, 1, 2)
    assert affinity_space(prob, neighbors=4)[0, 4, 0, 0].item() == pytest.approx(0.192745, rel=1e-5)
    assert not any(nothing_built.glob("*"))


@needs_compiler
def test_processes_may_build_at_once_and_find_what_is_built(nothing_built, monkeypatch):
    file = nothing_built / "affinity.so"
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda _: fused._build(file, fused.FLAGS), range(2)))
    assert [path.name for path in nothing_built.iterdir()] == [file.name]
    ctypes.CDLL(str(file))
    assert fused.which().startswith("C++ (")
    fused._found.cache_clear()
    monkeypatch.setattr(fused, "_build", None)
    assert fused.which().startswith("C++ (")


def test_nothing_is_built_at_import():
    code = "import fundus_uda.affinity.fused as f; print(f._found.cache_info().currsize)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "0\n"
