import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from fundus_uda.data.datasets import load_samples
from fundus_uda.data.images import FundusImages
from fundus_uda.data.sizes import SizeDraw
from fundus_uda.data.synthetic import write_camera
from fundus_uda.data.transforms import eval_transforms, plain_transforms
from fundus_uda.engine import train as engine
from fundus_uda.engine.batches import SampleKey
from fundus_uda.engine.checkpoint import load_checkpoint
from fundus_uda.segmentation.size_match import SizeMatch
from fundus_uda.segmentation.training import train
from tests.fixtures.runs import assert_identical, power_failure
from tests.fixtures.small_run import small_settings

CPU = torch.device("cpu")
MEAN_STD = ((0.0,) * 3, (1.0,) * 3)


class Reads(nn.Module):
    """A network whose class of a pixel is the red channel, 0, 1 or 2."""

    def forward(self, image):
        return F.one_hot(image[:, 0].long(), 3).permute(0, 3, 1, 2).float()


def square(disc, cup, side=64):
    classes = torch.zeros(3, side, side)
    classes[:, 8 : 8 + disc, 8 : 8 + disc] = 1
    classes[:, 8 : 8 + cup, 8 : 8 + cup] = 2
    return classes


def match_of(cameras, images):
    source = FundusImages(
        load_samples(f"folder:{cameras / 'a'}"), 64, plain_transforms(*MEAN_STD, zoom=(1, 1))
    )
    return SizeMatch(source, lambda: images, aligned=False), source


def test_the_estimate_is_of_images_with_a_disc_and_a_cup(cameras):
    match, _ = match_of(cameras, [torch.stack([square(32, 16), square(0, 0)]), square(40, 0)[None]])
    torch.testing.assert_close(
        match.estimate(Reads()), torch.tensor([[0.25, 0.5]], dtype=torch.float64)
    )


def test_a_fleck_beside_the_disc_does_not_count(cameras):
    image = square(32, 16)
    image[:, 60:62, 60:62] = 1
    match, _ = match_of(cameras, [image[None]])
    assert match.estimate(Reads())[0, 0] == 0.25


def test_the_source_then_shows_those_sizes(cameras):
    match, source = match_of(cameras, [])
    row = match.show(torch.tensor([[0.5, 0.6]] * 8, dtype=torch.float64))
    assert row["found"] == 8
    assert row["left_as_it_is"] == ""
    assert row["shown_disc_share"] == pytest.approx(0.5, abs=0.01)
    shares = [float((source[SampleKey(0, seed)]["label"] > 0).float().mean()) for seed in range(24)]
    assert np.mean(shares) == pytest.approx(0.5, abs=0.05)
    assert row["zoom"] > 1.2


def test_a_target_that_tells_no_sizes_leaves_the_source_and_says_so(cameras, capsys):
    match, source = match_of(cameras, [])
    source.size_draw = SizeDraw(match.own, np.array([[0.3, 0.5]]), False)  # of an earlier estimate
    row = match.show(torch.empty(0, 2, dtype=torch.float64))
    assert source.size_draw is None
    assert row["left_as_it_is"] == (
        "a disc and a cup are found in 0 of the target's images, of at least 8"
    )
    assert (row["zoom"], row["clipped"]) == (1, 0)
    assert row["shown_disc_share"] == pytest.approx(match.own[:, 0].mean())
    assert "as large as they are: a disc and a cup are found in 0" in capsys.readouterr().err


@pytest.mark.parametrize("method", ["source", "asa"])
def test_a_resumed_run_shows_the_sizes_of_an_unbroken_one(cameras, tmp_path, method):
    """Stopped after an estimate, and before the next: the sizes are part of the state."""
    write_camera(tmp_path / "b", "b", count=9, size=64, first_seed=0)
    first = small_settings(cameras, "method=source", "steps=40", "snapshot_every=40")
    train(first, tmp_path / "first", CPU)
    settings = small_settings(
        cameras,
        f"method={method}",
        f"start={tmp_path / 'first'}",
        f"data.target=folder:{tmp_path / 'b'}",
        "data.source_sizes=target",
        "data.augmentation=strong",
    )
    train(settings, tmp_path / "whole", CPU)
    with power_failure(engine, "adaptation_step", at=4):
        train(settings, tmp_path / "parts", CPU)
    train(settings, tmp_path / "parts", CPU, continue_run=True)
    whole, parts = (load_checkpoint(tmp_path / run / "last.pt").state for run in ("whole", "parts"))
    assert whole["target_labels"].shape[1] == 2
    assert_identical(whole, parts)
    rows = [(tmp_path / run / "label_match.csv").read_text() for run in ("whole", "parts")]
    assert rows[0] == rows[1]
    assert [row.split(",")[0] for row in rows[0].splitlines()] == ["step", "0", "3"]


def test_other_sizes_train_another_network(cameras, tmp_path):
    """Else the test above would hold for a match that shows nothing."""
    runs = []
    for sizes in ("as_they_are", "target"):
        settings = small_settings(
            cameras, "method=source", "data.size=64", f"data.source_sizes={sizes}", "steps=4"
        )
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(
                SizeMatch, "estimate", lambda *_: torch.full((8, 2), 0.5, dtype=torch.float64)
            )
            train(settings, tmp_path / sizes, CPU)
        runs.append(load_checkpoint(tmp_path / sizes / "last.pt").weights)
    name = next(name for name in runs[0] if name.endswith("weight"))
    assert not torch.equal(runs[0][name], runs[1][name])


def test_sizes_of_a_target_need_a_target(cameras):
    with pytest.raises(Exception, match=r"source_sizes=target needs data\.target"):
        small_settings(cameras, "method=source", "data.source_sizes=target", "data.target=null")


def test_evaluation_images_have_no_zoom(cameras):
    images = FundusImages(load_samples(f"folder:{cameras / 'a'}"), 64, eval_transforms(*MEAN_STD))
    assert set(images[SampleKey(0, 0)]) == {"image", "label"}
