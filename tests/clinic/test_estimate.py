import numpy as np
import pytest
import torch

from fundus_uda.anatomy import without_specks
from fundus_uda.clinic import estimate
from fundus_uda.clinic.estimate import estimated_dice
from fundus_uda.clinic.trust import trust
from fundus_uda.data.datasets import load_samples
from fundus_uda.data.synthetic import write_camera
from fundus_uda.model import load_model
from fundus_uda.prediction import predictions
from fundus_uda.training import train
from tests.small_run import small_settings

CPU = torch.device("cpu")


def test_it_is_the_mean_of_each_photographs_over_evenly_spread_ones(cameras, tmp_path, monkeypatch):
    train(small_settings(cameras, "method=source", "data.test=null"), tmp_path / "run", CPU)
    write_camera(tmp_path / "b", "b", count=3, size=64, first_seed=0)
    for mask in (tmp_path / "b" / "masks").iterdir():
        mask.write_bytes(b"never read")
    monkeypatch.setattr(estimate, "MOST", 2)
    model, samples = load_model(tmp_path / "run", CPU), load_samples(f"folder:{tmp_path / 'b'}")
    data = model.settings.data.model_copy(update={"flips": True, "convex_cup": True})
    alike = model.settings.model_copy(update={"data": data})
    each = [
        trust(image, without_specks(prediction.mask), prediction)["estimated_dice"]
        for _, image, prediction in predictions(model.segmenter, alike, samples[::2], CPU)
    ]
    estimated = estimated_dice(model, samples, CPU)
    assert estimated == pytest.approx(np.mean(each))
