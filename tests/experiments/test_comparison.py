import pandas as pd
import pytest

from fundus_uda.errors import InputError
from fundus_uda.experiments.comparison import in_order, require_scored_alike, write_comparison


def test_files_by_suffix(tmp_path):
    table, markdown = pd.DataFrame({"run": ["a"], "dice_mean": [0.8]}), "| run |"
    write_comparison(table, markdown, tmp_path / "new" / "t.csv")
    assert (tmp_path / "new" / "t.csv").read_text() == "run,dice_mean\na,0.8\n"
    write_comparison(table, markdown, tmp_path / "t.md")
    assert (tmp_path / "t.md").read_text() == markdown
    with pytest.raises(InputError, match="end in .csv or .md. Got: .*t.txt"):
        write_comparison(table, markdown, tmp_path / "t.txt")


def test_rows_are_in_the_papers_order_and_unknown_methods_last():
    rows = [
        {"method": method, "seed": seed, "checkpoint": "last"}
        for method, seed in (("Ours", 0), ("ASA", 1), ("ASA", 0), ("Source only", 0))
    ]
    table = in_order(rows)
    assert table["method"].tolist() == ["Source only", "ASA", "ASA", "Ours"]
    assert table["seed"].tolist() == [0, 0, 1, 0]


def test_runs_scored_on_other_images_are_named(tmp_path):
    told = {tmp_path / name: ([name], f"images of {name}") for name in ("a", "b")}
    with pytest.raises(InputError, match=r"same images. Got:\n.*/a: images of a\n.*/b: images"):
        require_scored_alike(told, "images")
