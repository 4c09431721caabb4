import numpy as np
import pytest

from fundus_uda.errors import InputError
from roadscene.comparison import as_markdown, compare
from roadscene.evaluation import write_evaluation


def write_run(folder, method, right, classes=19, data="cityscapes:x#val"):
    confusion = np.zeros((19, 19), np.int64)
    confusion[0, 0], confusion[0, 3], confusion[13, 13] = right, 10 - right, 10
    about = {"method": method, "seed": 1, "step": 300, "images": 4, "data": data}
    write_evaluation(confusion, classes, folder / "evaluation" / "last", about)
    return folder


def test_runs_in_the_papers_order_and_layout(tmp_path):
    runs = [write_run(tmp_path / "b", "asa", 10), write_run(tmp_path / "a", "source", 5)]
    table = compare(runs)
    assert table["method"].tolist() == ["Source only", "ASA"]
    assert table.loc[0, "road"] == 50
    assert "bus" not in table.columns  # absent in all
    # a wall was predicted by the one, so that it counts there as a class with IoU 0
    assert table["mIoU"].tolist() == pytest.approx([(50 + 0 + 100) / 3, 100])
    assert table["mIoU 13"].tolist() == pytest.approx([75, 100])
    lines = as_markdown(table).splitlines()
    assert lines[0].startswith("| method | checkpoint | seed | step | road | wall | car | mIoU |")
    assert lines[2] == "| Source only | last | 1 | 300 | 50.0 | 0.0 | 100.0 | 50.0 | 50.0 | 75.0 |"
    assert lines[3] == "| ASA | last | 1 | 300 | 100.0 |  | 100.0 | 100.0 | 100.0 | 100.0 |"


def test_different_data_or_classes_are_not_compared(tmp_path):
    first = write_run(tmp_path / "a", "asa", 5)
    with pytest.raises(InputError, match=r"same images and classes[\s\S]*16 classes"):
        compare([first, write_run(tmp_path / "b", "asa", 5, classes=16)])
    with pytest.raises(InputError, match="4 images of other"):
        compare([first, write_run(tmp_path / "c", "asa", 5, data="other")])


def test_folder_without_an_evaluation_is_named(tmp_path):
    with pytest.raises(InputError, match=f"in {tmp_path}. Got: FileNotFoundError"):
        compare([tmp_path])
    (tmp_path / "summary.json").write_text('{"dice": 1}')
    with pytest.raises(InputError, match="Got: KeyError"):
        compare([tmp_path])
