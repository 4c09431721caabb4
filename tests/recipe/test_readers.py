"""An adaptation with photographs of the target that a reader outlined."""

import json
import shutil

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from scipy import ndimage

from fundus_uda.data.datasets import load_samples
from fundus_uda.engine.checkpoint import load_checkpoint
from fundus_uda.engine.model_path import checkpoint_file, kept_run
from fundus_uda.errors import InputError
from fundus_uda.export.formats import export
from fundus_uda.recipe import adapt as recipe
from fundus_uda.recipe import judging, plan, readers
from fundus_uda.recipe.adapt import adapt, first_network
from fundus_uda.recipe.outlining import left_out
from fundus_uda.segmentation.adjustment import LAST_BIAS, Adjustment
from fundus_uda.segmentation.comparison import compare
from fundus_uda.segmentation.evaluation import evaluate
from fundus_uda.segmentation.model import load_model
from fundus_uda.segmentation.quality import comparable
from tests.recipe.test_adapt import CPU, TINY


def outline_one(cameras, folder, camera="b"):
    """Write one photograph of a camera with its outlines, as a reader draws them."""
    for kind in ("images", "masks"):
        (folder / kind).mkdir(parents=True)
        shutil.copy(cameras / camera / kind / f"{camera}0002.png", folder / kind)
    return folder


def test_outlined_photographs_are_learnt_and_not_scored(cameras, tmp_path, monkeypatch):
    monkeypatch.setattr(plan, "STAGES", plan.STAGES[:1])
    few = outline_one(cameras, tmp_path / "few")
    source, target = f"folder:{cameras / 'a'}", [f"folder:{cameras / 'b'}"]
    out = tmp_path / "out"
    adapt(target, out, CPU, source=source, overrides=TINY, outlined=few)
    learnt = load_checkpoint(out / "stages" / "1_source" / "last.pt").settings["data"]["outlined"]
    assert learnt == f"outlined:{few}"
    figures = json.loads((out / "predictions" / "report.json").read_text())
    assert figures["after"]["scores"]["images"] == 5
    assert len(pd.read_csv(out / "predictions" / "measurements.csv")) == 6
    assert first_network(out) is None
    last = pd.read_csv(out / "stages.csv").iloc[-1]
    assert (last["stage"], last["left_out"]) == ("adjusted", True)
    assert last["title"] == "Adjusted to the readers' outlines"
    assert last["reason"] == "There are 1, and at least 5 tell where borders are drawn."


def test_the_kept_network_is_adjusted_to_the_outlines(cameras, seeing_run, tmp_path, monkeypatch):
    monkeypatch.setattr(recipe, "reason_to_reject", lambda *_: "No.")
    monkeypatch.setattr(readers, "reason_to_reject", lambda *_: "")
    by = Adjustment(0.3, -0.2)
    monkeypatch.setattr(readers, "fit_adjustment", lambda *_: by)
    few = outline_one(cameras, tmp_path / "few")
    out, target = tmp_path / "out", [f"folder:{cameras / 'b'}"]
    given = {"model": seeing_run, "overrides": TINY[2:], "outlined": few}
    stages = adapt(target, out, CPU, **given)
    assert stages["stage"].tolist() == ["model", "mean_teacher", "adjusted"]
    assert stages["left_out"].tolist() == [False, True, False]
    assert stages["dice_mean"].iloc[-1] > 0.5
    moved = "1 photographs, log-odds of disc +0.30, of cup -0.20"
    assert stages["title"].iloc[-1] == f"Adjusted to the readers' outlines ({moved})"
    summary = json.loads((out / "predictions" / "summary.json").read_text())
    told = "Mean teacher: No. The network before it is used."
    assert summary["note"] == f"{told} {stages['title'].iloc[-1]}."
    assert checkpoint_file(out) == out / readers.ADJUSTED / "last.pt"
    assert compare([out])["dice_mean"].tolist() == [stages["dice_mean"].iloc[-1]]
    assert first_network(out) == seeing_run
    bias, before = (load_model(path, CPU).network.get_parameter(LAST_BIAS)
                    for path in (out, seeing_run))  # fmt: skip
    torch.testing.assert_close(bias, before + by.bias)
    figures = json.loads((out / "predictions" / "report.json").read_text())
    assert figures["after"]["scores"]["images"] == 5
    assert figures["after"]["scores"]["dice_mean"]["mean"] == stages["dice_mean"].iloc[-1]

    again = adapt(target, out, CPU, **given, continue_run=True)
    pd.testing.assert_frame_equal(again, stages)
    export(out, "safetensors", tmp_path / "model.safetensors")
    exported = load_model(tmp_path / "model.safetensors", CPU).network.get_parameter(LAST_BIAS)
    assert torch.equal(exported, bias)


def outline_smaller(cameras, folder, photographs=5):
    """Outline photographs of the target smaller than the network draws them."""
    for kind in ("images", "masks"):
        (folder / kind).mkdir(parents=True)
    for file in sorted((cameras / "b" / "images").iterdir())[:photographs]:
        shutil.copy(file, folder / "images")
        mask = np.asarray(Image.open(cameras / "b" / "masks" / file.name))
        small = np.where(ndimage.binary_erosion(mask > 0, iterations=4), mask, 0)
        Image.fromarray(small.astype(np.uint8)).save(folder / "masks" / file.name)
    return folder


def test_five_outlines_decide_whether_a_stage_and_the_adjustment_are_kept(
    cameras, seeing_run, tmp_path
):
    """A stage that leaves the network as it is lowers no Dice, and raises no estimate."""
    few = outline_smaller(cameras, tmp_path / "few")
    target = [str(cameras / "b" / "images")]
    still = (*TINY[2:], "segmenter.lr=1e-12", "adaptation.batch_norm_statistics=frozen")
    out = tmp_path / "out"
    stages = adapt(target, out, CPU, model=seeing_run, overrides=still, outlined=few)
    assert stages["stage"].tolist() == ["model", "mean_teacher", "adjusted"]
    assert stages["outlined_dice"].iloc[1] == stages["outlined_dice"].iloc[0]
    assert not stages["left_out"].any()
    assert stages["outlined_dice"].iloc[2] > stages["outlined_dice"].iloc[1]
    assert stages["disc_share"].iloc[2] < stages["disc_share"].iloc[1]
    scores = evaluate(comparable(load_model(out, CPU)), load_samples(f"outlined:{few}"))
    assert stages["outlined_dice"].iloc[2] == pytest.approx(scores["dice_mean"].mean())
    assert kept_run(out) == out / readers.ADJUSTED


def test_a_stage_or_an_adjustment_that_lowers_the_outlined_dice_is_left_out(
    cameras, seeing_run, tmp_path, monkeypatch
):
    few = outline_smaller(cameras, tmp_path / "few")
    dices = iter((0.9, 0.8, 0.7))
    monkeypatch.setattr(judging, "_mean_dice", lambda *_: next(dices))
    target, out = [str(cameras / "b" / "images")], tmp_path / "out"
    stages = adapt(target, out, CPU, model=seeing_run, overrides=TINY[2:], outlined=few)
    assert stages["left_out"].tolist() == [False, True, True]
    worse = (
        "Its Dice on the 5 outlined photographs is 0.{}000, and 0.9000 with the network before it."
    )
    assert stages["reason"].tolist()[1:] == [worse.format(8), worse.format(7)]
    assert kept_run(out) == seeing_run
    assert first_network(out) is None
    assert len(left_out(stages)) == 2


def test_outlines_must_be_of_the_target(cameras, tmp_path):
    few = outline_one(cameras, tmp_path / "few", camera="a")
    source, target = f"folder:{cameras / 'a'}", [f"folder:{cameras / 'b'}"]
    with pytest.raises(InputError, match=r"masks/a0002.png, which is of none of its 6. Remove it"):
        adapt(target, tmp_path / "out", CPU, source=source, outlined=few)
    assert not (tmp_path / "out").exists()
    with pytest.raises(InputError, match="Expected --outlined in place of data.outlined="):
        adapt(target, tmp_path / "out", CPU, source=source, overrides=("data.outlined=x",))
