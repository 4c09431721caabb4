"""Settings of a run of seconds, with the real network on embedded photographs."""

from pathlib import Path

from fundus_uda.settings import FundusSettings, read_settings


def small_settings(cameras: Path, *overrides: str) -> FundusSettings:
    """Six steps of two 64x64 images each."""
    data = [f"data.source=folder:{cameras / 'a'}", f"data.target=folder:{cameras / 'b'}"]
    size = ["data.size=64", "batch_size=2", "steps=6", "snapshot_every=3", "data.test="]
    return read_settings("fundus/demo", [*data, *size, *overrides])
