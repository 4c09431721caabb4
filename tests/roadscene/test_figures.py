import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from fundus_uda.experiments.panel import HEADER, View
from roadscene import figures
from roadscene.classes import CLASSES
from roadscene.data import load_frames, read_label
from roadscene.figures import WIDTH, draw_results
from roadscene.model import Model
from tests.fixtures.tiny_streets import settings, streets

CPU = torch.device("cpu")
HEIGHT = round(WIDTH * 64 / 96)


class Halves(nn.Module):
    """The first class on the left, the last on the right."""

    def forward(self, image):
        logits = torch.zeros(len(image), 16, *image.shape[-2:])
        half = image.shape[-1] // 2
        logits[:, 0, :, :half] = logits[:, -1, :, half:] = 10
        return logits


@pytest.fixture
def root(tmp_path, monkeypatch):
    of = settings(streets(tmp_path))
    of = of.model_copy(update={"data": of.data.model_copy(update={"classes": 16})})
    monkeypatch.setattr(figures, "load_model", lambda *_, **__: Model(Halves(), of, CPU))
    return tmp_path


def draw(root, *models, directions="all"):
    """(rows, columns, HEIGHT, WIDTH, 3) tiles of the two test images."""
    file, uri = root / "p.png", f"cityscapes:{root / 'target'}#val"
    draw_results(uri, [root / model for model in models], file, CPU, View(2, directions))
    tiles = np.asarray(Image.open(file))[HEADER:].reshape(2, HEIGHT, -1, WIDTH, 3)
    return tiles.transpose(0, 2, 1, 3, 4)


def test_target_truth_prediction_and_affinity_stand_side_by_side(root):
    tiles = draw(root, "run")
    assert tiles.shape[:2] == (2, 4)
    frame = load_frames(f"cityscapes:{root / 'target'}#val")[1]
    label = read_label(frame, len(CLASSES))
    corner = [CLASSES[label[i, j]].colour for i, j in ((0, 0), (-1, -1))]
    assert [tuple(tiles[1, 1][i, j]) for i, j in ((0, 0), (-1, -1))] == corner
    prediction, affinity = tiles[1, 2], tiles[1, 3]
    half = WIDTH // 2
    assert (prediction[:, :half] == CLASSES[0].colour).all()
    assert (prediction[:, half:] == CLASSES[-1].colour).all()  # of 16 classes, the last of 19
    assert affinity[:, : half - 16].min() > 250
    assert affinity[:, half - 4 : half + 4].max() < 128


def test_an_unlabelled_target_has_no_truth(root):
    for label in (root / "target" / "gtFine" / "val" / "dusk").iterdir():
        label.unlink()
    assert draw(root, "run").shape[1] == 3


def test_two_models_of_one_name_have_columns_each(root):
    assert draw(root, "a/run", "b/run").shape[1] == 6


def test_the_diagonal_neighbours_alone_lack_more_at_an_edge(root, monkeypatch):
    maps = []
    monkeypatch.setattr(figures, "model_columns", lambda *of: maps.append(of[2][0][0]) or [])
    for directions in ("all", "diagonal"):
        draw(root, "run", directions=directions)
    # along an upright edge, 3 of 8 neighbours disagree, but 2 of the 4 diagonal ones
    lacking_all, lacking_diagonal = (1 - map_HW[32, 32] for map_HW in maps)
    assert lacking_diagonal / lacking_all == pytest.approx(4 / 3, rel=1e-3)
