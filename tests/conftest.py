"""What several test packages share: small embedded data, and the real photographs if present."""

import os
from pathlib import Path

import pytest

from fundus_uda.data.synthetic import write_camera


@pytest.fixture(scope="session")
def cameras(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with `a` (8 photographs of camera a) and `b` (6 of camera b), 64x64, with masks."""
    root = tmp_path_factory.mktemp("cameras")
    write_camera(root / "a", "a", count=8, size=64, first_seed=0)
    write_camera(root / "b", "b", count=6, size=64, first_seed=0)
    return root


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of real photographs; skips without one."""
    if "FUNDUS_UDA_DATA" not in os.environ:
        pytest.skip("real photographs: FUNDUS_UDA_DATA is not set")
    return Path(os.environ["FUNDUS_UDA_DATA"])
