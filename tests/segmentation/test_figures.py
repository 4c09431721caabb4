import shutil

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from fundus_uda.errors import InputError
from fundus_uda.experiments.panel import HEADER, SIDE, View
from fundus_uda.masks.outlines import CUP_COLOUR, DISC_COLOUR
from fundus_uda.segmentation import figures
from fundus_uda.segmentation.figures import draw_results, outlined
from fundus_uda.segmentation.model import Model
from fundus_uda.segmentation.prediction import outline
from tests.fixtures.fields import whole_field
from tests.fixtures.seeing import brightness_model
from tests.fixtures.small_run import small_settings

CPU = torch.device("cpu")


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
    monkeypatch.setattr(figures, "load_model", lambda *_, **__: brightness_model(cameras))
    file = tmp_path / "p.png"
    draw_results(kind.format(cameras / "a"), [tmp_path / "run"], file, CPU, View(rows=3))
    picture = np.asarray(Image.open(file))
    assert picture.shape == (HEADER + 3 * SIDE, columns * SIDE, 3)
    affinity = picture[HEADER:, -SIDE:]
    assert (affinity[..., 0] == affinity[..., 1]).all()  # grey
    assert affinity[:4].mean() > 240  # background agrees with its neighbours
    assert affinity.min() < 60  # outlines do not


def test_whole_photographs_are_cropped_by_their_masks_or_refused(cameras, tmp_path, monkeypatch):
    for name in ("images", "masks"):
        (tmp_path / "whole" / name).mkdir(parents=True)
    field, (row, column), diameter = whole_field()
    disc = np.hypot(*(np.indices(field.shape[:2]) - np.array([row, column])[:, None, None]))
    Image.fromarray(field).save(tmp_path / "whole" / "images" / "a.png")
    mask = (disc < diameter / 2).astype(np.uint8) + (disc < diameter / 4)
    Image.fromarray(mask).save(tmp_path / "whole" / "masks" / "a.png")
    monkeypatch.setattr(figures, "load_model", lambda *_, **__: brightness_model(cameras))
    file, uri = tmp_path / "p.png", f"folder:{tmp_path / 'whole'}"
    draw_results(uri, [tmp_path / "run"], file, CPU)
    truth = np.asarray(Image.open(file))[HEADER:, SIDE : 2 * SIDE]
    rows = np.flatnonzero((truth == DISC_COLOUR).all(axis=2).any(axis=1))
    assert np.ptp(rows) > SIDE / 4  # a crop around the disc, which is a sixth of the field high
    shutil.rmtree(tmp_path / "whole" / "masks")
    with pytest.raises(InputError, match="Expected crops around the disc"):
        draw_results(uri, [tmp_path / "run"], file, CPU)


class NotchedCup(nn.Module):
    """Disc, and a cup open to the right; a speck of disc in the corner."""

    def forward(self, image):
        classes = torch.zeros(image.shape[-2:], dtype=torch.long)
        classes[8:56, 8:56] = 1
        classes[16:48, 16:48] = 2
        classes[28:36, 20:48] = 1
        classes[0:2, 0:2] = 1
        one_hot = nn.functional.one_hot(classes, 3).permute(2, 0, 1).float()
        return 10 * one_hot.expand(len(image), -1, -1, -1)


@pytest.mark.parametrize("convex", [True, False])
def test_outlines_are_those_that_predict_gives(convex, cameras, tmp_path, monkeypatch):
    given = ["data.tta_flips=false", f"data.fill_cup_hull={str(convex).lower()}"]
    settings = small_settings(cameras, *given)
    model = Model(NotchedCup(), settings, CPU, 0, torch.ones(3))
    monkeypatch.setattr(figures, "load_model", lambda *_, **__: model)
    file = tmp_path / "p.png"
    draw_results(f"folder:{cameras / 'a'}", [tmp_path / "run"], file, CPU, View(rows=1))
    drawn = np.asarray(Image.open(file))[HEADER:, 2 * SIDE : 3 * SIDE]
    scale = SIDE // 64
    notch = drawn[26 * scale : 38 * scale, 24 * scale : 40 * scale]
    assert (notch == CUP_COLOUR).all(axis=2).any() == (not convex)
    assert not (drawn[: 4 * scale, : 4 * scale] == DISC_COLOUR).all(axis=2).any()


def test_two_models_of_one_name_have_a_column_each(cameras, tmp_path, monkeypatch):
    monkeypatch.setattr(figures, "load_model", lambda *_, **__: brightness_model(cameras))
    models = [tmp_path / "a" / "run", tmp_path / "b" / "run"]
    file = tmp_path / "p.png"
    draw_results(f"folder:{cameras / 'a'}", models, file, CPU, View(rows=1))
    assert Image.open(file).width == 6 * SIDE


def test_affinity_of_the_diagonal_neighbours_alone(cameras):
    model = brightness_model(cameras)
    photograph = np.zeros((64, 64, 3), np.uint8)
    photograph[:, 32:] = 255
    of = {
        directions: outline(model, photograph, directions).affinity
        for directions in ("all", "diagonal")
    }
    lowest = of["all"].argmin(axis=1)[32]
    # along an upright edge, 3 of 8 neighbours disagree, but 2 of the 4 diagonal ones
    lacking = {directions: 1 - map_HW[32, lowest] for directions, map_HW in of.items()}
    assert lacking["diagonal"] / lacking["all"] == pytest.approx(4 / 3, rel=1e-3)
