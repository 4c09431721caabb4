"""Runs of two processes, by gloo on the CPU."""

import os
import signal
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from fundus_uda.engine import distributed
from fundus_uda.engine.checkpoint import load_checkpoint
from fundus_uda.engine.run_folder import RunFolder
from tests.fixtures.ranks import adapt, in_processes
from tests.fixtures.runs import assert_identical, tensors

ROOT = Path(__file__).parents[2]
DONE = [(0, ""), (0, "")]
WEIGHTS = {"adversarial_weight": 0.3, "regulariser_weight": 0.3}
PARTS = {"adaptation": WEIGHTS | {"teacher": {"keep_fraction": 0.5}}}


def saved(folder):
    return load_checkpoint(RunFolder(folder).last).state


@pytest.mark.parametrize("method", ["asa_asc", "mean_teacher"])
def test_two_processes_equal_one_with_the_whole_batch(tmp_path, method):
    """Five steps, batch-norm statistics synchronised, labels unevenly ignored."""
    start = {"start": "runs/a"} if method == "mean_teacher" else {}
    run = {"method": method, "steps": 5, "snapshot_every": 5, **start, **PARTS}
    adapt(tmp_path / "one", **run)
    assert in_processes(partial(adapt, tmp_path / "two", **run)) == DONE
    one, two = (tensors(saved(tmp_path / name)) for name in ("one", "two"))
    assert one.keys() == two.keys()
    for name, value in one.items():
        if isinstance(value, torch.Tensor):
            torch.testing.assert_close(two[name], value, rtol=1e-3, atol=1e-5, msg=name)
    rows = [(tmp_path / name / "metrics.csv").read_text().splitlines() for name in ("one", "two")]
    assert rows[0][0] == rows[1][0]
    for mine, theirs in zip(rows[0][1:], rows[1][1:], strict=True):
        values = [[float(cell) for cell in row.split(",")] for row in (mine, theirs)]
        assert values[1] == pytest.approx(values[0], rel=1e-4)


def test_statistics_of_each_process_give_another_result(tmp_path):
    run = {"steps": 2, "snapshot_every": 2, "adaptation": WEIGHTS}
    adapt(tmp_path / "one", **run)
    assert in_processes(partial(adapt, tmp_path / "two", batch_norm="local", **run)) == DONE
    one, two = (saved(tmp_path / name)["segmenter"] for name in ("one", "two"))
    assert not torch.allclose(one["0.weight"], two["0.weight"], rtol=1e-3, atol=1e-4)
    # Their means are kept: the statistics that one batch of them all would have, but for variance.
    torch.testing.assert_close(one["1.running_mean"], two["1.running_mean"], rtol=0.1, atol=0.1)


def killed_at(step, victim, state):
    if state.step == step and distributed.rank() == victim:
        os.kill(os.getpid(), signal.SIGKILL)


@pytest.mark.parametrize("victim", [0, 1])
@pytest.mark.parametrize("batch_norm", ["synchronised", "local"])
def test_a_killed_process_ends_all_and_the_restart_is_exact(tmp_path, victim, batch_norm):
    run = {"method": "mean_teacher", "start": "runs/a", "batch_norm": batch_norm, **PARTS}
    assert in_processes(partial(adapt, tmp_path / "whole", **run)) == DONE
    killed = partial(killed_at, 5, victim)
    ended = in_processes(partial(adapt, tmp_path / "cut", killed, **run))
    assert ended[victim] == (-signal.SIGKILL, "")
    code, error = ended[1 - victim]
    assert code == 1
    assert error.startswith(
        f"RunError: Expected all 2 processes to go on. Got: process {1 - victim} has lost another"
    )
    assert saved(tmp_path / "cut")["step"] == 3
    assert in_processes(partial(adapt, tmp_path / "cut", **run)) == DONE
    assert_identical(saved(tmp_path / "cut"), saved(tmp_path / "whole"))
    for table in ("metrics.csv", "snapshots.csv"):
        cut, whole = (tmp_path / name / table for name in ("cut", "whole"))
        assert cut.read_bytes() == whole.read_bytes()


def test_a_signal_to_one_process_stops_all_after_the_same_step(tmp_path):
    def terminated(state):
        if state.step == 4 and distributed.rank() == 1:
            os.kill(os.getpid(), signal.SIGTERM)

    def work():
        try:
            adapt(tmp_path / "run", terminated)
        except KeyboardInterrupt as stopped:
            raise RuntimeError(f"stopped by {stopped.number}") from None

    text = f"RuntimeError: stopped by {signal.SIGTERM.value}"
    assert in_processes(work) == [(1, text)] * 2
    assert saved(tmp_path / "run")["step"] == 5


def test_a_wrong_batch_size_is_told_once(tmp_path):
    (code, error), other = in_processes(partial(adapt, tmp_path / "run", batch_size=3))
    assert (code, other) == (1, (2, ""))
    assert error.startswith("InputError: Expected a batch_size that the 2 processes of this run")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("affine", [True, False])
def test_synchronised_normalisation_is_that_of_the_whole_batch(tmp_path, affine):
    """Output, gradient and running statistics, in the layer of any library."""
    torch.manual_seed(0)
    image, upstream = torch.randn(4, 2, 3, 3) + 5, torch.randn(4, 2, 3, 3)
    layer = nn.BatchNorm2d(2, affine=affine)
    whole = image.clone().requires_grad_()
    F.relu(layer(whole)).backward(upstream)

    def work():
        with distributed.joined(torch.device("cpu")):
            mine = nn.BatchNorm2d(2, affine=affine)
            part = distributed.own(image).clone().requires_grad_()
            with distributed.batch_norm("synchronised"):
                out = F.relu(mine(part))
            out.backward(distributed.own(upstream))
            torch.testing.assert_close(part.grad, distributed.own(whole.grad))
            torch.testing.assert_close(mine.running_mean, layer.running_mean)
            torch.testing.assert_close(mine.running_var, layer.running_var)

    assert in_processes(work) == DONE


ELASTIC = """
import os, signal, sys
from pathlib import Path
from fundus_uda.engine import distributed
from tests.fixtures.ranks import adapt

def at(state):
    first = os.environ["TORCHELASTIC_RESTART_COUNT"] == "0"
    if state.step == 5 and distributed.rank() == 1 and first:
        os.kill(os.getpid(), signal.SIGKILL)

adapt(Path(sys.argv[1]), at)
"""


@pytest.mark.slow
def test_torchrun_begins_anew_from_the_last_checkpoint(tmp_path):
    script = tmp_path / "elastic.py"
    script.write_text(ELASTIC)
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    command = [*torchrun, "--nproc-per-node=2", "--max-restarts=1", script, tmp_path / "run"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "has lost another one" in done.stderr
    assert in_processes(partial(adapt, tmp_path / "whole")) == DONE
    assert_identical(saved(tmp_path / "run"), saved(tmp_path / "whole"))
