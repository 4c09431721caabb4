"""Bounds on the time of the core; `pytest tests/affinity/test_speed.py -s` prints the ratios.

Each is the median of a fixed number of ratios of CPU seconds on one thread, of runs in turn. In a
process of its own: the memory that other tests leave behind changes all times.
"""

import subprocess
import sys
import textwrap

import pytest

PAIRS = 15


def median_ratio(code: str) -> float:
    """Median of `seconds(slow) / seconds(fast)`, two functions that `code` defines."""
    measure = f"""
        for _ in range(3):
            seconds(slow), seconds(fast)  # until memory is reused
        print(median(seconds(slow) / seconds(fast) for _ in range({PAIRS})))
    """
    start = """
        import time
        from statistics import median
        import torch
        from torch.nn import functional as F
        from fundus_uda.affinity import affinity_space
        from fundus_uda.affinity.neighbors import EIGHT

        torch.set_num_threads(1)
    """
    whole = "\n".join(textwrap.dedent(part) for part in (start, code, measure))
    printed = subprocess.run(
        [sys.executable, "-c", whole], capture_output=True, text=True, check=True
    ).stdout
    print(f"ratio {float(printed):.2f}")
    return float(printed)


@pytest.mark.slow
def test_affinity_space_is_three_times_faster_than_the_formula_per_pair():
    code = """
        prob = (3 * torch.randn(1, 19, 256, 512)).softmax(dim=1)
        upstream = torch.ones(1, 8 * 19, 256, 512)
        fast = affinity_space

        def slow(prob):
            p = prob.clamp(1e-4, 1 - 1e-4)
            padded = F.pad(p, (1, 1, 1, 1), mode="replicate")
            space = []
            for dy, dx in EIGHT:
                n = padded[:, :, 1 + dy : 257 + dy, 1 + dx : 513 + dx]
                space.append(p * (p / n).log() + (1 - p) * ((1 - p) / (1 - n)).log())
            return torch.cat(space, dim=1)

        def seconds(function):
            inputs = prob.clone().requires_grad_()
            start = time.process_time()
            function(inputs).backward(upstream)
            return time.process_time() - start
    """
    assert median_ratio(code) > 3
