import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from fundus_uda.engine import train as engine
from fundus_uda.engine.batches import SampleKey
from fundus_uda.engine.checkpoint import load_checkpoint
from fundus_uda.errors import InputError
from roadscene.class_match import ClassMatch
from roadscene.data import Frame
from roadscene.images import Normalisation, RoadImages
from roadscene.settings import read_settings
from roadscene.training import train
from tests.fixtures.runs import assert_identical, power_failure
from tests.fixtures.tiny_streets import settings, streets, write_ids, write_image

ROAD, SIDEWALK = 7, 8


class Reads(nn.Module):
    """A network whose class of a pixel is its red value."""

    def forward(self, image):
        return F.one_hot(image[:, 0].long(), 19).permute(0, 3, 1, 2).float()


@pytest.fixture
def source(tmp_path):
    """Three frames of road alone, and one half of which is sidewalk."""
    frames = []
    for number in range(4):
        image, label = tmp_path / f"{number}.png", tmp_path / f"{number}_label.png"
        write_image(image)
        write_ids(label, [[ROAD] * 8] * 3 + [[SIDEWALK if number == 3 else ROAD] * 8] * 3)
        frames.append(Frame(str(number), image, label, "gta5"))
    return RoadImages(frames, (6, 8), 19, Normalisation("RGB", (0.0,) * 3))


COUNTS = np.zeros((4, 19), dtype=np.int64)
COUNTS[:, 0] = 48, 48, 48, 24
COUNTS[3, 1] = 24


def test_the_estimate_is_the_share_of_the_predicted_pixels():
    image = torch.zeros(2, 3, 2, 2)
    image[0, 0, 0] = 1
    match = ClassMatch(None, COUNTS, lambda: [image])
    expected = torch.zeros(19, dtype=torch.float64)
    expected[:2] = torch.tensor([0.75, 0.25])
    torch.testing.assert_close(match.estimate(Reads()), expected)


def test_a_frame_is_drawn_by_its_pixels_of_a_class_of_the_target(source):
    match = ClassMatch(source, COUNTS, lambda: [])
    half = torch.zeros(19, dtype=torch.float64)
    half[:2] = 0.5
    row = match.show(half)
    # Of the road, 1/7 is in the last frame; of the sidewalk, all: (1/7 + 1) / 2.
    drawn = [bool((source[SampleKey(0, seed)]["label"] == 1).any()) for seed in range(600)]
    assert np.mean(drawn) == pytest.approx(4 / 7, abs=0.06)
    assert row["sidewalk"] == 0.5
    assert row["shown_sidewalk"] == pytest.approx(2 / 7)
    assert row["frames"] == pytest.approx(1 / (3 / 49 + 16 / 49))


def test_the_sources_own_shares_leave_it_as_it_is(source):
    match = ClassMatch(source, COUNTS, lambda: [])
    own = torch.from_numpy(COUNTS.sum(axis=0) / COUNTS.sum())
    assert match.show(own)["frames"] == pytest.approx(4)


def test_classes_that_the_source_lacks_are_left_out(source):
    match = ClassMatch(source, COUNTS, lambda: [])
    shares = torch.full((19,), 1 / 19, dtype=torch.float64)
    assert match.show(shares)["shown_sidewalk"] == pytest.approx(2 / 7)


def test_a_resumed_run_draws_the_frames_of_an_unbroken_one(tmp_path):
    of = settings(streets(tmp_path / "data"), method="source", steps=4)
    data = of.data.model_copy(update={"source_classes": "target"})
    of = of.model_copy(update={"data": data})
    train(of, tmp_path / "whole", torch.device("cpu"))
    with power_failure(engine, "adaptation_step", at=3):
        train(of, tmp_path / "parts", torch.device("cpu"))
    train(of, tmp_path / "parts", torch.device("cpu"), continue_run=True)
    whole, parts = (load_checkpoint(tmp_path / run / "last.pt").state for run in ("whole", "parts"))
    assert whole["target_labels"].shape == (19,)
    assert_identical(whole, parts)
    rows = [(tmp_path / run / "label_match.csv").read_text() for run in ("whole", "parts")]
    assert rows[0] == rows[1]


def test_classes_of_a_target_need_a_target():
    domains = ["data.source=cityscapes:x", "data.target=null", "data.test=null"]
    with pytest.raises(InputError, match=r"source_classes=target needs data\.target"):
        read_settings("cpu/source", [*domains, "data.source_classes=target"])
