"""The network that comes along scores as its card says."""

import os
import re
from pathlib import Path

import pytest
import skimage.data
import torch

from fundus_uda import predict, weights
from fundus_uda.data.datasets import load_samples
from fundus_uda.rendering.dataset import write_rendered
from fundus_uda.rendering.scene import Scene
from fundus_uda.segmentation.evaluation import evaluate
from fundus_uda.segmentation.model import load_model

CARD = (Path(weights.__file__).parent / "README.md").read_text(encoding="utf-8")
DATA = os.environ.get("FUNDUS_UDA_DATA")


def stated(set_name: str) -> list[float]:
    """Dice of cup and disc in the card's table of scores as it is."""
    row = re.search(rf"^\| {set_name}[^|]*\| ([\d.]+) \| ([\d.]+) \|", CARD, flags=re.MULTILINE)
    assert row is not None, set_name
    return [float(number) for number in row.groups()]


def scored(uri: str) -> list[float]:
    dice = evaluate(load_model(weights.RENDERED, torch.device("cpu")), load_samples(uri))
    return [float(dice[column].mean()) for column in ("dice_cup", "dice_disc")]


def test_it_is_small_learnt_from_rendered_eyes_alone_and_says_what_it_learnt_from():
    assert weights.RENDERED.stat().st_size < 12e6
    data = load_model(weights.RENDERED, torch.device("cpu")).settings.data
    assert (data.source, data.target, data.test) == ("rendered", None, None)


@pytest.mark.slow
def test_it_outlines_a_real_eye_and_declines_what_is_none(tmp_path):
    """The pictures come along with scikit-image."""
    pictures = Path(skimage.data.__file__).parent
    others = ["astronaut.png", "chelsea.png", "color.png", "hubble_deep_field.jpg", "rocket.jpg"]
    paths = [pictures / name for name in ["retina.jpg", *others]]
    rows = predict(paths, out=tmp_path / "out").set_index("image")
    assert rows.loc["retina", "status"] in ("ok", "flagged")
    assert set(rows["status"].drop("retina")) == {"no_disc"}


@pytest.mark.slow
def test_it_scores_as_its_card_says_on_rendered_eyes(tmp_path):
    write_rendered(Scene(), 1, 24, tmp_path / "eyes")
    assert scored(f"folder:{tmp_path / 'eyes'}") == pytest.approx(stated("24 rendered"), abs=0.01)


@pytest.mark.slow
@pytest.mark.skipif(DATA is None, reason="real photographs: FUNDUS_UDA_DATA is not set")
def test_it_scores_as_its_card_says_on_real_eyes():
    assert scored(f"drishti-gs:{DATA}/drishti_gs#test") == pytest.approx(
        stated("Drishti-GS1"), abs=0.002
    )
