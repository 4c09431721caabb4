"""What a command loads before it can answer: modules, since times depend on the machine."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
HEAVY = {"torch", "monai", "numpy", "pandas", "scipy", "skimage", "matplotlib", "timm"}


def heavy_modules(module: str, *arguments: str) -> tuple[set[str], str]:
    """The heavy packages that are loaded when a command line ends, and what it printed."""
    code = f"""
import atexit, sys
atexit.register(lambda: print(*{{name.partition(".")[0] for name in sys.modules}}))
sys.argv = ["command", *{list(arguments)!r}]
from {module} import run
run()
"""
    env = {**os.environ, "FUNDUS_UDA_DATA": "/data"}  # named in settings, and not read
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, env=env
    )
    *printed, modules = done.stdout.splitlines()
    return HEAVY & set(modules.split()), "\n".join([*printed, done.stderr])


@pytest.mark.parametrize("module", ["cli.main", "cli.roadscene"])
@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--help"], "Exit codes"),
        (["configs"], "cpu/asa"),
        (["predict", "missing.pt", "photographs"], "Expected a checkpoint at missing.pt"),
        (["evaluate", "missing.pt", "folder:photographs"], "Expected a checkpoint at missing.pt"),
        (["train", "asa", "stepz=3", "--out", "run"], "Did you mean"),
    ],
)
def test_what_needs_no_data_is_answered_before_heavy_imports(module, arguments, told):
    heavy, printed = heavy_modules(module, *arguments)
    assert told in printed
    assert heavy == set()


@pytest.mark.parametrize("module", ["cli.main", "cli.roadscene"])
def test_runs_are_compared_without_monai_and_torch(module, tmp_path):
    heavy, printed = heavy_modules(module, "compare", str(tmp_path))
    assert "Expected" in printed
    assert heavy.isdisjoint({"monai", "torch", "scipy"})
