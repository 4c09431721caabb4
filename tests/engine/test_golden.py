"""The losses of every method over five steps, as they were: a refactoring changes none.

A change of behaviour that is meant writes them anew: `python -m tests.engine.test_golden`.
"""

import json
from itertools import islice
from pathlib import Path

import pytest
import torch

from fundus_uda.engine.batches import batch_stream
from fundus_uda.engine.methods import METHODS
from fundus_uda.engine.step import adaptation_step
from tests.fixtures.tiny_engine import TinyImages, run, settings, state

GOLDEN = Path(__file__).with_name("golden.json")
STEPS = 5


def curves(method: str) -> dict[str, list[float]]:
    """Each loss over the steps, on one thread."""
    fraction = 0.5 if METHODS[method].class_balanced else None
    teacher = {"confidence": 0.2, "keep_fraction": fraction}
    of = settings(method=method, steps=STEPS, adaptation={"teacher": teacher})
    trained = state(of)
    domains = {
        "source": TinyImages(5),
        "target": TinyImages(3, 0.5, labelled=False) if METHODS[method].adapts else None,
    }
    streams = [
        islice(
            batch_stream(
                data, batch_size=of.batch_size, seed=of.seed, domain=domain, start=0, workers=0,
                pin_memory=False,
            ),
            STEPS,
        )
        if data is not None
        else [None] * STEPS
        for domain, data in domains.items()
    ]  # fmt: skip
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    losses = [adaptation_step(trained, *batches, of) for batches in zip(*streams, strict=True)]
    torch.set_num_threads(threads)
    return {name: [each[name] for each in losses] for name in losses[0]}


@pytest.mark.parametrize("method", METHODS)
def test_a_method_has_its_golden_loss_curve(method):
    expected, found = json.loads(GOLDEN.read_text())[method], curves(method)
    assert found.keys() == expected.keys()
    for name, values in found.items():
        assert values == pytest.approx(expected[name], rel=1e-4), name


def test_the_same_seed_gives_the_same_bytes_twice(tmp_path):
    of = settings(method="asa")
    folders = [run(state(of), of, tmp_path / name).path for name in ("one", "other")]
    names = {path.name for path in folders[0].iterdir()}
    assert {"last.pt", "selected.pt", "metrics.csv", "snapshots.csv"} <= names
    for name in names:
        one, other = ((folder / name).read_bytes() for folder in folders)
        assert one == other, name


if __name__ == "__main__":
    lines = [f'"{method}": {json.dumps(curves(method))}' for method in METHODS]
    GOLDEN.write_text("{\n" + ",\n".join(lines) + "\n}\n")
