"""Training on outlined photographs of the target beside the source."""

import shutil

import pandas as pd
import pytest
import torch
from PIL import Image

from fundus_uda.data.datasets import load_samples
from fundus_uda.data.images import OUTLINED_SHARE, FundusImages
from fundus_uda.data.transforms import eval_transforms
from fundus_uda.engine import train as engine
from fundus_uda.engine.batches import SampleKey, batch_keys
from fundus_uda.engine.checkpoint import load_checkpoint
from fundus_uda.errors import InputError
from fundus_uda.segmentation.training import prepare, train
from tests.fixtures.runs import assert_identical, power_failure
from tests.fixtures.small_run import small_settings

CPU = torch.device("cpu")


@pytest.fixture
def outlined(cameras, tmp_path):
    """Two photographs of camera b, with masks."""
    for folder in ("images", "masks"):
        (tmp_path / "outlined" / folder).mkdir(parents=True)
        for name in ("b0001.png", "b0004.png"):
            shutil.copy(cameras / "b" / folder / name, tmp_path / "outlined" / folder / name)
    return tmp_path / "outlined"


def test_a_share_of_the_draws_shows_them(cameras, outlined):
    plain = eval_transforms((0.5,) * 3, (0.5,) * 3)
    source, few = (
        FundusImages(load_samples(f"folder:{folder}"), 64, plain)
        for folder in (cameras / "a", outlined)
    )
    source.outlined = few
    shown = [source[SampleKey(0, seed)]["image"] for seed in range(400)]
    own = [few[SampleKey(sample, 0)]["image"] for sample in range(2)]
    counts = [sum(torch.equal(image, one) for image in shown) for one in own]
    expected = 400 * OUTLINED_SHARE / 2
    assert all(abs(count - expected) < 3 * expected**0.5 for count in counts)
    names = [source.name(SampleKey(0, seed)) for seed in range(400)]
    assert [names.count(name) for name in few.ids] == counts


def test_they_are_learnt_beside_the_source_and_resumed_exactly(cameras, outlined, tmp_path):
    steps = ["steps=3", "snapshot_every=2", "seed=1", f"data.outlined=outlined:{outlined}"]
    settings = small_settings(cameras, "method=asa", *steps)
    train(settings, tmp_path / "whole", CPU)
    with power_failure(engine, "adaptation_step", at=2):
        train(settings, tmp_path / "broken", CPU)
    moved = tmp_path / "moved"
    shutil.copytree(outlined, moved)  # as on another machine
    settings = small_settings(cameras, "method=asa", *steps, f"data.outlined=outlined:{moved}")
    train(settings, tmp_path / "broken", CPU, continue_run=True)
    states = [load_checkpoint(tmp_path / run / "last.pt").state for run in ("whole", "broken")]
    assert_identical(*states)
    source = prepare(settings, CPU).source
    keys = [key for step in range(3) for key in batch_keys(8, 2, settings.seed, "source", step)]
    assert {source.shown(key)[0] is source.outlined for key in keys} == {True, False}

    Image.open(moved / "masks" / "b0001.png").rotate(180).save(moved / "masks" / "b0001.png")
    with pytest.raises(InputError, match="fingerprint of outlined"):
        train(settings, tmp_path / "broken", CPU, continue_run=True)


def test_they_are_learnt_alone_without_a_source(cameras, outlined, seeing_run, tmp_path):
    steps = ["steps=1", "snapshot_every=1", f"start={seeing_run}", "network.atrous_rates=[2,3,5]"]
    settings = small_settings(
        cameras, "method=mean_teacher", "data.source=null", f"data.outlined=outlined:{outlined}",
        *steps,
    )  # fmt: skip
    train(settings, tmp_path / "run", CPU)
    columns = pd.read_csv(tmp_path / "run" / "metrics.csv").columns.tolist()
    assert columns == ["step", "segmentation", "pseudo_label_fraction", "teacher"]


def test_they_are_not_scored(cameras, outlined, capsys):
    given = [f"data.test=folder:{cameras / 'b'}", f"data.outlined=outlined:{outlined}"]
    run = prepare(small_settings(cameras, "method=source", *given), CPU)
    assert run.test is not None
    assert [sample.id for sample in run.test] == ["b0000", "b0002", "b0003", "b0005"]
    assert "2 photographs are outlined, and are not scored" in capsys.readouterr().err
    given[0] = f"data.test=folder:{outlined}"
    with pytest.raises(InputError, match="beside those of data.outlined, to score. Got: none"):
        prepare(small_settings(cameras, "method=source", *given), CPU)


def test_an_outline_of_another_size_is_refused(cameras, outlined):
    mask = outlined / "masks" / "b0001.png"
    Image.open(mask).resize((32, 64)).save(mask)
    given = f"data.outlined=outlined:{outlined}"
    with pytest.raises(InputError, match=r"mask of 64x64 for .* Got: 32x64 in .*masks/b0001.png"):
        prepare(small_settings(cameras, "method=source", given), CPU)


@pytest.mark.parametrize("method", ["oracle", "adabn"])
def test_methods_that_cannot_learn_them_say_so(cameras, method):
    with pytest.raises(InputError, match=f"data.outlined is not for {method}, which learns"):
        small_settings(cameras, f"method={method}", "data.outlined=outlined:few", "start=run")
