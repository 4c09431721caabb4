import pytest
import torch

from fundus_uda.errors import InputError
from roadscene import demo


def test_demo_trains_and_compares_its_three_methods(tmp_path, monkeypatch):
    read_settings = demo.read_settings

    def shortened(name, overrides):
        size = ["data.source_size=[64, 96]", "data.target_size=[64, 96]", "affinity.stride=1"]
        return read_settings(name, [*overrides, *size, "steps=1", "network.weights=random"])

    monkeypatch.setattr(demo, "read_settings", shortened)
    monkeypatch.setattr(demo, "SIZE", (64, 96))
    table = demo.run_demo(tmp_path / "demo: 1", torch.device("cpu"))
    assert table.loc[table["checkpoint"] == "last", "method"].tolist() == [
        "Source only", "ASC", "ASA"
    ]  # fmt: skip
    assert (tmp_path / "demo: 1" / "comparison.csv").is_file()
    for method in ("source", "asc", "asa"):
        pictures = tmp_path / "demo: 1" / "predictions" / method / "colour"
        assert len(list(pictures.glob("*.png"))) == 32
    with pytest.raises(InputError, match="Expected a new or empty output folder"):
        demo.run_demo(tmp_path / "demo: 1", torch.device("cpu"))
