import subprocess
import sys

import torch

from fundus_uda.engine.randomness import derive_seed, seed_torch


def test_seeds_are_the_same_in_another_process():
    code = "from fundus_uda.engine.randomness import derive_seed; print(derive_seed(3, 'x', 7))"
    printed = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert int(printed.stdout) == derive_seed(3, "x", 7)


def test_parts_are_not_run_together():
    assert derive_seed(1, 23) != derive_seed(12, 3)


def test_torch_draws_the_same_after_the_same_seed():
    seed_torch(0, "step", 5)
    first = torch.rand(3)
    torch.rand(10)
    seed_torch(0, "step", 5)
    assert torch.equal(first, torch.rand(3))
