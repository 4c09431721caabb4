"""A table that is reproduced again after its data and its folder have moved."""

import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from fundus_uda.application import FUNDUS
from fundus_uda.errors import InputError
from fundus_uda.experiments.reproduce import reproduce
from fundus_uda.experiments.tables import Row

CPU = torch.device("cpu")
ROWS = {
    "source": Row("Source only", "cpu/demo", overrides=("method=source",)),
    "asc": Row("ASC", "cpu/demo", start="source", overrides=("method=asc", "start=source")),
}
TINY = replace(FUNDUS, tables=lambda _: {"tiny": ROWS})


def tiny(cameras: Path) -> tuple[str, ...]:
    data = [f"data.{domain}=folder:{cameras / 'b'}" for domain in ("target", "test")]
    size = ["data.size=64", "batch_size=2", "steps=1", "snapshot_every=1", "affinity.stride=1"]
    return (f"data.source=folder:{cameras / 'a'}", *data, *size)


def test_a_table_whose_data_and_folder_moved_is_not_trained_again(cameras, tmp_path, monkeypatch):
    shutil.copytree(cameras, tmp_path / "here")
    monkeypatch.chdir(tmp_path)
    said = reproduce(TINY, "tiny", Path("out"), CPU, 1, "cpu", tiny(Path("here")), lambda _: None)
    weights = [file.read_bytes() for file in sorted(tmp_path.rglob("last.pt"))]
    (tmp_path / "here").rename(tmp_path / "there")
    moved = tiny(tmp_path / "there")
    again = reproduce(TINY, "tiny", tmp_path / "out", CPU, 1, "cpu", moved, lambda _: None)
    assert again.equals(said)
    assert [file.read_bytes() for file in sorted(tmp_path.rglob("last.pt"))] == weights

    def never(*_, **__):
        raise AssertionError("a finished run was trained again")

    left_alone = replace(TINY, train=never)
    reproduce(left_alone, "tiny", tmp_path / "out", CPU, 1, "cpu", moved, lambda _: None)
    other = next((tmp_path / "there" / "a" / "masks").iterdir())
    shutil.copy(max((tmp_path / "there" / "a" / "masks").iterdir()), other)
    (tmp_path / "there").rename(tmp_path / "here")
    with pytest.raises(InputError, match="fingerprint of source"):
        reproduce(TINY, "tiny", tmp_path / "out", CPU, 1, "cpu", tiny(tmp_path / "here"))
