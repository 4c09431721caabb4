"""The command: one Markdown table of ratios within one run, in a few minutes on an idle machine.

`python -m tests.benchmarks core growth` measures these parts alone. OMP_NUM_THREADS is the number
of threads, 1 by default; seconds are those of all threads together.
"""

import os
import platform
import sys
from datetime import UTC, datetime

import torch

from fundus_uda.affinity import fused
from fundus_uda.engine.device import retain_freed_memory
from tests.benchmarks import core, program
from tests.benchmarks.measure import as_markdown

PARTS = {
    "core": core.rows,
    "growth": core.growth,
    "steps": program.steps,
    "data": program.loading,
    "prediction": program.prediction,
}


def main() -> None:
    """Print the table of the parts that are named, or of all."""
    parts = sys.argv[1:] or list(PARTS)
    if unknown := set(parts) - PARTS.keys():
        sys.exit(f"Expected parts among {', '.join(PARTS)}. Got: {', '.join(unknown)}.")
    os.environ.setdefault("FUNDUS_UDA_DATA", "/data")  # named in settings, and not read
    threads = int(os.environ.get("OMP_NUM_THREADS", "1"))
    torch.set_num_threads(threads)
    retain_freed_memory()
    processor = platform.processor() or platform.machine()
    print(
        f"{datetime.now(UTC):%Y-%m-%d}, torch {torch.__version__}, {threads} threads of {processor}"
    )
    print(f"affinity space by {fused.which()}")
    print(f"other work on the machine: a load of {os.getloadavg()[0]:.1f}\n")
    for line in as_markdown(row for part in parts for row in PARTS[part]()):
        print(line, flush=True)


main()
