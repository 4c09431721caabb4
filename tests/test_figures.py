import numpy as np
from PIL import Image

from fundus_uda.clinic.pictures import DISC_COLOUR
from fundus_uda.figures import HEADER, SIDE, panel


def test_a_panel_has_a_row_per_photograph_and_a_column_per_mask(tmp_path):
    photographs = [np.full((40, 40, 3), 10 + row, dtype=np.uint8) for row in range(2)]
    empty, disc = np.zeros((40, 40), dtype=np.uint8), np.zeros((40, 40), dtype=np.uint8)
    disc[10:30, 10:30] = 1
    panel(photographs, {"one": [empty, empty], "two": [empty, disc]}, tmp_path / "new" / "p.png")
    picture = np.asarray(Image.open(tmp_path / "new" / "p.png"))
    assert picture.shape == (HEADER + 2 * SIDE, 3 * SIDE, 3)

    def tile(row, column):
        top, left = HEADER + row * SIDE, column * SIDE
        return picture[top : top + SIDE, left : left + SIDE]

    for row in range(2):
        assert (tile(row, 0) == 10 + row).all()
        assert (tile(row, 1) == 10 + row).all()
    assert (tile(0, 2) == 10).all()
    green = (tile(1, 2) == DISC_COLOUR).all(axis=2)
    rows = np.flatnonzero(green.any(axis=1))
    assert abs(rows[0] - SIDE / 4) <= 2
    assert abs(rows[-1] - 3 * SIDE / 4) <= 2
