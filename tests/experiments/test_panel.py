from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fundus_uda.experiments.panel import HEADER, model_columns, panel


def test_a_panel_has_a_column_per_title_and_a_row_per_picture(tmp_path):
    one, two = (
        [np.full((40, 40, 3), 10 * column + row, dtype=np.uint8) for row in range(2)]
        for column in (1, 2)
    )
    panel([("same", one), ("same", two)], tmp_path / "new" / "p.png", tile=(30, 20))
    picture = np.asarray(Image.open(tmp_path / "new" / "p.png"))
    assert picture.shape == (HEADER + 2 * 20, 2 * 30, 3)
    for row in range(2):
        for column in range(2):
            top, left = HEADER + row * 20, column * 30
            assert (picture[top : top + 20, left : left + 30] == 10 * (column + 1) + row).all()


@pytest.mark.parametrize(
    ("models", "titles"),
    [
        (["runs/source", "runs/asa"], ["source", "asa"]),
        (["a/run", "b/run"], ["a/run", "b/run"]),
        (["a/x/run", "b/x/run"], ["a/x/run", "b/x/run"]),
        (["a/run", "a/run"], ["run", "run"]),
    ],
)
def test_titles_tell_models_apart(models, titles):
    maps = [[np.ones((2, 2), np.float32)]] * len(models)
    columns = model_columns(list(map(Path, models)), [[]] * len(models), maps)
    assert [title for title, _ in columns[::2]] == titles


def test_all_maps_share_one_scale():
    low, high = np.full((2, 2), 0.5, np.float32), np.full((2, 2), 0.75, np.float32)
    columns = model_columns([Path("a"), Path("b")], [[], []], [[low], [high]])
    titles = [title for title, _ in columns]
    assert titles == ["a", "affinity, 0.500 to 1", "b", "affinity, 0.500 to 1"]
    assert (columns[1][1][0] == 0).all()
    assert (columns[3][1][0] == 127).all()
