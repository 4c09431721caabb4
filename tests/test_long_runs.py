"""Memory and open files do not grow with the steps of a run, or with photographs.

A short share runs always; `FUNDUS_UDA_LONG=10 pytest -m nightly tests/test_long_runs.py` takes ten
times 500 steps and 200 photographs, and prints what it measured.
"""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from fundus_uda.clinic.predict import predict
from fundus_uda.data.synthetic import render
from tests.fixtures.seeing import brightness_model
from tests.fixtures.tiny_engine import run, settings, state

PROC = Path("/proc/self")
pytestmark = pytest.mark.skipif(not (PROC / "fd").is_dir(), reason="no /proc")
TIMES = int(os.environ.get("FUNDUS_UDA_LONG", "1"))
MEGABYTES = 30
"""Growth that is left to the pools of memory and to caches, however long a run is."""


def measured() -> tuple[float, int]:
    """Resident memory in megabytes, and number of open files."""
    pages = int((PROC / "statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGESIZE") / 2**20, len(list((PROC / "fd").iterdir()))


def require_flat(work: Callable[[int], object], count: int, warm: int) -> None:
    """Work once to fill the caches, then on `count` things, and compare."""
    work(warm)
    before, files = measured()
    work(count)
    after, files_after = measured()
    print(f"{count}: {before:.0f} -> {after:.0f} MB, {files} -> {files_after} files")
    assert after - before < MEGABYTES
    assert files_after <= files


def train(root: Path) -> Callable[[int], object]:
    def work(steps: int) -> None:
        of = settings(method="asa", steps=steps, snapshot_every=100)
        run(state(of), of, root / f"{steps}")

    return work


def outline(root: Path, cameras: Path) -> Callable[[int], object]:
    model = brightness_model(cameras)
    Image.fromarray(render("a", 0, 96)[0]).save(root / "a.png")

    def work(count: int) -> None:
        listed = root / f"{count}.csv"
        listed.write_text("id,path\n" + "".join(f"{number},a.png\n" for number in range(count)))
        predict(model, [listed], root / f"{count}")
        shutil.rmtree(root / f"{count}")

    return work


def test_a_run_grows_neither_in_memory_nor_in_open_files(tmp_path):
    require_flat(train(tmp_path), count=60, warm=20)


def test_a_batch_of_photographs_grows_neither(cameras, tmp_path):
    require_flat(outline(tmp_path, cameras), count=24, warm=8)


@pytest.mark.slow
@pytest.mark.nightly
def test_five_hundred_steps_and_more(tmp_path):
    require_flat(train(tmp_path), count=500 * TIMES, warm=200)


@pytest.mark.slow
@pytest.mark.nightly
def test_two_hundred_photographs_and_more(cameras, tmp_path):
    require_flat(outline(tmp_path, cameras), count=200 * TIMES, warm=100)
