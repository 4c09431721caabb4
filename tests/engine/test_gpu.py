"""A step on a GPU: all methods on tensors without values, and a few runs where there is one."""

import pytest
import torch

from fundus_uda.engine import device, step
from fundus_uda.engine import state as states
from fundus_uda.engine.batches import Batch
from fundus_uda.engine.methods import METHODS
from fundus_uda.engine.state import ParameterGroup, build_state
from fundus_uda.engine.step import adaptation_step
from fundus_uda.experiments.cost import FakeTensors
from tests.engine.test_step import batches
from tests.fixtures.tiny_engine import CLASSES, segmenter, settings

CUDA = torch.device("cuda")
needs_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")


@pytest.mark.parametrize("name", METHODS)
def test_all_that_a_step_computes_forwards_is_on_the_gpu(name, monkeypatch):
    """Tensors without values know their device, so this needs none. Gradients need one."""
    monkeypatch.setattr(states, "_placed", lambda network, *_: network)  # it is built there
    monkeypatch.setattr(states.copy, "deepcopy", lambda _: segmenter())
    for left_out in ("read_finite", "update", "update_ema"):
        monkeypatch.setattr(step, left_out, lambda *_: {})
    monkeypatch.setattr(step._Step, "backward", lambda *_, **__: None)
    fraction = 0.5 if METHODS[name].class_balanced else None
    of = settings(method=name, start="a", adaptation={"teacher": {"keep_fraction": fraction}})
    with FakeTensors(), torch.device("cuda"):
        network = segmenter()
        groups = [ParameterGroup(list(network.parameters()), 1.0)]
        built = build_state(network, groups, torch.full((CLASSES,), 1 / CLASSES), of, CUDA)
        built.class_thresholds = torch.ones(CLASSES, device="cpu") if fraction else None
        image = torch.randn(4, 3, 32, 32)
        source = Batch(image, torch.zeros(4, 32, 32, dtype=torch.int64))
        target = Batch(image, strong=image) if METHODS[name].adapts else None
        adaptation_step(built, source, target, of)
    assert built.step == 1


def test_what_a_gpu_rounds_is_set_on_purpose_and_told():
    before = torch.get_float32_matmul_precision(), torch.backends.cudnn.benchmark
    try:
        device.configure(CUDA)
        told = device.configuration(CUDA)
        assert told == {"tf32": True, "cudnn_benchmark": True}
        torch.set_float32_matmul_precision("highest")
        assert not device.configuration(CUDA)["tf32"]
        assert device.configuration(torch.device("cpu")) == {}
    finally:
        torch.set_float32_matmul_precision(before[0])
        torch.backends.cudnn.benchmark = before[1]


def on(where: torch.device, **changes):
    """A state and batches on a device, the same on all."""
    of = settings(**changes)
    network = segmenter()
    del network[3]  # dropout draws other numbers there
    groups = [ParameterGroup(list(network.parameters()), 1.0)]
    built = build_state(network, groups, torch.full((CLASSES,), 1 / CLASSES), of, where)
    return built, of, [batch.to(where, torch.contiguous_format) for batch in batches()]


@needs_gpu
@pytest.mark.parametrize("method", ["asa_asc", "adaptsegnet", "source"])
def test_a_step_on_a_gpu_is_that_of_the_cpu(method):
    torch.set_float32_matmul_precision("highest")
    torch.backends.cudnn.allow_tf32 = False
    try:
        losses = []
        for where in (torch.device("cpu"), CUDA):
            built, of, (source, target) = on(where, method=method)
            target = target if METHODS[method].adapts else None
            losses.append([adaptation_step(built, source, target, of) for _ in range(3)])
    finally:
        torch.backends.cudnn.allow_tf32 = True
    for cpu, gpu in zip(*losses, strict=True):
        assert gpu == pytest.approx(cpu, rel=1e-3)


@needs_gpu
@pytest.mark.parametrize("precision", ["float16", "bfloat16"])
def test_half_precision_trains_on_a_gpu(precision):
    built, of, (source, target) = on(CUDA, precision=precision)
    exact, of_exact, _ = on(CUDA)
    half, full = (
        adaptation_step(state, source, target, settings)
        for state, settings in ((built, of), (exact, of_exact))
    )
    assert {name: half[name] for name in full} == pytest.approx(full, rel=0.05)


@needs_gpu
def test_a_step_waits_for_the_gpu_once():
    built, of, (source, target) = on(CUDA)
    adaptation_step(built, source, target, of)
    torch.cuda.set_sync_debug_mode("warn")
    try:
        with pytest.warns(UserWarning, match="synchronizing") as waits:
            adaptation_step(built, source, target, of)
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert len(waits) == 1
