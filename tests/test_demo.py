"""The demo itself takes minutes; here with six steps."""

import json

import pandas as pd
import pytest
import torch

from fundus_uda import demo
from fundus_uda.errors import InputError


@pytest.mark.slow
def test_the_demo_writes_what_it_promises(tmp_path, monkeypatch):
    small = ("data.size=64", "steps=2", "snapshot_every=2", "batch_size=2", "affinity.stride=1")
    monkeypatch.setattr(demo, "FEW_STEPS", small)
    monkeypatch.setattr("fundus_uda.recipe.adapt.reason_to_reject", lambda *_: "")
    out = tmp_path / "demo: 1"
    table = demo.run_demo(out, torch.device("cpu"))
    assert table["method"].tolist() == ["Source only", "Mean teacher"]
    written = pd.read_csv(out / "comparison.csv")
    assert written["dice_mean"].tolist() == pytest.approx(table["dice_mean"].tolist())
    report = json.loads((out / "report.json").read_text())
    for (_, row), side in zip(table.iterrows(), ("before", "after"), strict=True):
        for name in ("dice_cup", "dice_disc", "dice_mean"):
            shown = report[side]["scores"][name]["mean"]
            assert row[name] == pytest.approx(shown)  # terminal and report agree
    for side in ("before", "predictions"):
        rows = pd.read_csv(out / "adapted" / side / "measurements.csv")
        assert len(rows) == 64
    assert (out / "panel.png").is_file()
    assert "beside Source only before" in (out / "report.html").read_text()


def test_a_folder_in_use_is_refused(tmp_path):
    (tmp_path / "x").touch()
    with pytest.raises(InputError, match="new or empty output folder"):
        demo.run_demo(tmp_path, torch.device("cpu"))
