"""The demo itself takes minutes; here with six steps."""

import json

import pandas as pd
import pytest
import torch

from fundus_uda import demo
from fundus_uda.errors import InputError
from fundus_uda.segmentation.settings import read_settings


@pytest.mark.slow
def test_the_demo_writes_what_it_promises(tmp_path, monkeypatch):
    def few_steps(name, overrides):
        small = ["steps=2", "snapshot_every=2", "data.size=64", "batch_size=2"]
        return read_settings(name, [*overrides, *small])

    monkeypatch.setattr(demo, "read_settings", few_steps)
    table = demo.run_demo(tmp_path / "demo: 1", torch.device("cpu"))
    assert {"Source only", "ASA"} == set(table["method"])
    written = pd.read_csv(tmp_path / "demo: 1" / "comparison.csv")
    assert written["dice_mean"].tolist() == pytest.approx(table["dice_mean"].tolist())
    report = json.loads((tmp_path / "demo: 1" / "report.json").read_text())
    by_title = table.set_index("method")
    for title, side in (("Source only", "before"), ("ASA", "after")):
        for name in ("dice_cup", "dice_disc", "dice_mean"):
            shown = report[side]["scores"][name]["mean"]
            assert by_title.loc[title, name] == pytest.approx(shown)  # terminal and report agree
    for method in ("source", "asa"):
        predictions = tmp_path / "demo: 1" / "predictions" / method
        rows = pd.read_csv(predictions / "measurements.csv")
        assert len(rows) == 32
        overlays = {path.stem for path in (predictions / "overlays").iterdir()}
        assert overlays == set(rows["image"][rows["status"].isin(["ok", "flagged"])])
    assert "beside Source only before" in (tmp_path / "demo: 1" / "report.html").read_text()


def test_a_folder_in_use_is_refused(tmp_path):
    (tmp_path / "x").touch()
    with pytest.raises(InputError, match="new or empty output folder"):
        demo.run_demo(tmp_path, torch.device("cpu"))
