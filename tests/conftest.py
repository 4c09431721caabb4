"""What several test packages share: small embedded data, and the real photographs if present."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

# Before torch is loaded: several tests at once share the cores.
os.environ.setdefault("OMP_NUM_THREADS", "1")

from fundus_uda.data.synthetic import write_camera
from fundus_uda.stops import SIGNALS

SECRETS = ("mueller", "Erika", "klinik-7")
"""Parts of the places of the run's data: a user, a patient and a machine."""


@pytest.fixture(scope="session")
def cameras(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with `a` (8 photographs of camera a) and `b` (6 of camera b), 64x64, with masks."""
    root = tmp_path_factory.mktemp("cameras")
    write_camera(root / "a", "a", count=8, size=64, first_seed=0)
    write_camera(root / "b", "b", count=6, size=64, first_seed=0)
    return root


@pytest.fixture
def signals() -> Iterator[None]:
    """Python's own reaction to signals, which a shell may have told the tests to ignore."""
    before = {number: signal.getsignal(number) for number in SIGNALS}
    for number in SIGNALS:
        is_ctrl_c = number == signal.SIGINT
        signal.signal(number, signal.default_int_handler if is_ctrl_c else signal.SIG_DFL)
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.fixture(scope="session")
def seeing_run(cameras, tmp_path_factory):
    """The folder of a run on camera a whose network outlines its photographs."""
    import torch  # here, since most tests need none of these

    from fundus_uda.segmentation.training import train
    from tests.fixtures.small_run import small_settings

    folder = tmp_path_factory.mktemp("seeing")
    data = folder / "home" / SECRETS[0] / SECRETS[1] / SECRETS[2]
    data.parent.mkdir(parents=True)
    data.symlink_to(cameras / "a")
    settings = small_settings(
        cameras, "method=source", "steps=60", "snapshot_every=60", "batch_size=4",
        "segmenter.lr=0.05",
        f"data.source=folder:{data}", f"data.test=folder:{data}", "data.target=",
        "data.tta_flips=true", "data.fill_cup_hull=true",
    )  # fmt: skip
    train(settings, folder / "run", torch.device("cpu"))
    return folder / "run"


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of real photographs; skips without one."""
    if "FUNDUS_UDA_DATA" not in os.environ:
        pytest.skip("real photographs: FUNDUS_UDA_DATA is not set")
    return Path(os.environ["FUNDUS_UDA_DATA"])
