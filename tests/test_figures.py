import numpy as np
import pytest
import torch
from PIL import Image

from fundus_uda import figures
from fundus_uda.clinic.pictures import DISC_COLOUR
from fundus_uda.figures import HEADER, SIDE, draw_results, outlined, panel
from tests.clinic.seeing import brightness_model


def test_a_panel_has_a_column_per_title_and_a_row_per_picture(tmp_path):
    one, two = (
        [np.full((40, 40, 3), 10 * column + row, dtype=np.uint8) for row in range(2)]
        for column in (1, 2)
    )
    panel({"one": one, "two": two}, tmp_path / "new" / "p.png")
    picture = np.asarray(Image.open(tmp_path / "new" / "p.png"))
    assert picture.shape == (HEADER + 2 * SIDE, 2 * SIDE, 3)
    for row in range(2):
        for column in range(2):
            top, left = HEADER + row * SIDE, column * SIDE
            assert (picture[top : top + SIDE, left : left + SIDE] == 10 * (column + 1) + row).all()


def test_outlines_lie_where_the_mask_ends():
    disc = np.zeros((40, 40), dtype=np.uint8)
    disc[10:30, 10:30] = 1
    picture = outlined(np.full((40, 40, 3), 10, dtype=np.uint8), disc)
    green = (picture == DISC_COLOUR).all(axis=2)
    rows = np.flatnonzero(green.any(axis=1))
    assert abs(rows[0] - SIDE / 4) <= 2
    assert abs(rows[-1] - 3 * SIDE / 4) <= 2


@pytest.mark.parametrize(("kind", "columns"), [("folder:{}", 4), ("folder:{}/unlabelled", 3)])
def test_models_stand_beside_the_target_and_its_truth(
    kind, columns, cameras, tmp_path, monkeypatch
):
    unlabelled = cameras / "a" / "unlabelled" / "images"
    if not unlabelled.is_dir():
        unlabelled.parent.mkdir()
        unlabelled.symlink_to(cameras / "a" / "images")
    monkeypatch.setattr(figures, "load_model", lambda *_: brightness_model(cameras))
    file, cpu = tmp_path / "p.png", torch.device("cpu")
    draw_results(kind.format(cameras / "a"), [tmp_path / "run"], file, cpu, rows=3)
    picture = np.asarray(Image.open(file))
    assert picture.shape == (HEADER + 3 * SIDE, columns * SIDE, 3)
    affinity = picture[HEADER:, -SIDE:]
    assert (affinity[..., 0] == affinity[..., 1]).all()  # grey
    assert affinity[:4].mean() > 240  # background agrees with its neighbours
    assert affinity.min() < 60  # outlines do not
