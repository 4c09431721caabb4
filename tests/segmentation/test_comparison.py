import json
import math

import pytest

from fundus_uda.errors import InputError
from fundus_uda.segmentation.comparison import as_markdown, compare


def write_run(root, method, mean, seed=0, data="set", checkpoint="last", n=5, **about):
    folder = root / f"{about.pop('name', method)}_{seed}" / "evaluation" / checkpoint
    folder.mkdir(parents=True)
    dice = {"mean": mean, "std": 0.1, "ci95": [mean, mean], "n": n}
    summary = {"dice_cup": dice, "dice_disc": dice, "dice_mean": dice}
    summary |= {"method": method, "seed": seed, "step": 9, "data": f"folder:{data}"}
    summary |= {"images": data, "goes_on": False, "augmentation": "plain"} | about
    (folder / "summary.json").write_text(json.dumps(summary))
    return folder.parents[1]


def test_rows_are_in_the_papers_order_with_the_gap_closed(tmp_path):
    runs = [
        write_run(tmp_path, "asa", 0.853),
        write_run(tmp_path, "oracle", 0.914),
        write_run(tmp_path, "source", 0.772),
    ]
    table = compare(runs)
    assert table["method"].tolist() == ["Source only", "Oracle", "ASA"]
    assert table["gap_closed"].tolist() == pytest.approx([0, 1, 0.081 / 0.142])
    assert "| ASA | last | 0 | 9 | 0.853 | 0.853 | 0.853 | 57 % |" in as_markdown(table)


def test_the_gap_is_that_of_the_same_seed(tmp_path):
    runs = [write_run(tmp_path, m, 0.5 + i / 10, seed=0) for i, m in enumerate(("source", "asa"))]
    runs += [write_run(tmp_path, "oracle", 0.9, seed=1)]
    assert all(math.isnan(gap) for gap in compare(runs)["gap_closed"])


def test_both_checkpoints_of_a_run_are_rows(tmp_path):
    run = write_run(tmp_path, "asa", 0.8)
    write_run(tmp_path / "other", "asa", 0.7, checkpoint="selected")
    (tmp_path / "other" / "asa_0" / "evaluation" / "selected").rename(
        run / "evaluation" / "selected"
    )
    assert compare([run])["checkpoint"].tolist() == ["last", "selected"]


def test_runs_on_other_images_are_not_compared(tmp_path):
    runs = [write_run(tmp_path, "asa", 0.8), write_run(tmp_path, "source", 0.7, data="other")]
    with pytest.raises(InputError, match="5 images of folder:set(.|\n)*5 images of folder:other"):
        compare(runs)


@pytest.mark.parametrize("other", [{"augmentation": "strong"}, {"source_sizes": "target"}])
def test_the_ends_of_the_gap_are_of_the_same_training(other, tmp_path):
    runs = [write_run(tmp_path, "source", 0.7), write_run(tmp_path, "oracle", 0.9)]
    runs += [write_run(tmp_path, "source", 0.75, name="longer", goes_on=True)]
    runs += [write_run(tmp_path, "source", 0.8, name="other", **other)]
    gaps = compare(runs).set_index("dice_mean")["gap_closed"]
    assert gaps[[0.7, 0.75, 0.9]].tolist() == pytest.approx([0, 0.25, 1])
    assert math.isnan(gaps[0.8])
    runs += [write_run(tmp_path, "oracle", 1.0, name="best", **other)]
    assert compare(runs).set_index("dice_mean")["gap_closed"][0.8] == 0


def test_runs_on_another_annotation_are_not_compared(tmp_path):
    runs = [
        write_run(tmp_path, "asa", 0.8, data="one", annotation="expert1"),
        write_run(tmp_path, "source", 0.7, data="two", annotation="expert2"),
    ]
    with pytest.raises(InputError, match="expert1(.|\n)*expert2"):
        compare(runs)


def test_a_summary_without_figures_is_named(tmp_path):
    (tmp_path / "summary.json").write_text('{"dice_mean": {}}')
    with pytest.raises(InputError, match="Expected a summary of an evaluation at .*KeyError"):
        compare([tmp_path])


def test_a_folder_that_is_no_run(tmp_path):
    with pytest.raises(InputError, match="Expected a summary of an evaluation at .*summary.json"):
        compare([tmp_path])
