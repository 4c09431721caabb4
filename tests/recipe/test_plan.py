from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image
from typer.testing import CliRunner

from cli.main import app
from fundus_uda import weights
from fundus_uda.data.inspection import inspect
from fundus_uda.errors import InputError
from fundus_uda.masks.region import are_whole_photographs
from fundus_uda.recipe.plan import (
    Task,
    plan_stages,
    require_consistent,
    whole_source,
    with_source,
)
from tests.fixtures.shapes import ellipses


@pytest.mark.parametrize(("diameter", "whole"), [(66, False), (54, True)])
def test_inspect_and_adapt_agree_on_what_whole_photographs_are(
    diameter, whole, tmp_path, monkeypatch
):
    """By the shorter side of 300x200: with a disc of 66 pixels they are crops, by area not."""
    monkeypatch.delenv("FUNDUS_UDA_DATA", raising=False)
    for folder in ("images", "masks"):
        (tmp_path / folder).mkdir()
    for number in range(3):
        mask = ellipses((diameter / 2, diameter / 2), (10, 10), shape=(200, 300))
        Image.fromarray(mask).save(tmp_path / "masks" / f"{number}.png")
        photograph = Image.fromarray(np.full((200, 300, 3), 99, dtype=np.uint8))
        photograph.save(tmp_path / "images" / f"{number}.png")
    uri, out = f"folder:{tmp_path}", tmp_path / "out"
    found = inspect(uri)
    assert found.disc_diameters == pytest.approx([diameter / 200] * 3, rel=0.01)
    assert are_whole_photographs(found.disc_diameters) is whole
    told = CliRunner().invoke(app, ["inspect", uri])
    assert told.exit_code == 0, told.output
    assert ("Whole photographs: cut them" in told.output) is whole
    cpu = torch.device("cpu")
    task = Task(["clinic"], out, cpu, uri, None, seed=0, profile="cpu", key=None, overrides=())
    assert len(whole_source(task)) == (3 if whole else 0)


@pytest.mark.parametrize("text", ["network.encoder=resnet18", "network={encoder: resnet18}"])
def test_another_network_is_not_the_one_that_comes_along(text, tmp_path):
    task = Task(["x"], tmp_path, torch.device("cpu"), None, None, 0, "cpu", None, overrides=(text,))
    assert with_source(task).model is None
    with pytest.raises(InputError, match="no network.encoder=…, which --model gives. Got: network"):
        require_consistent(replace(task, model=tmp_path))


@pytest.mark.parametrize(
    ("overrides", "starts"), [((), str(weights.RENDERED)), (("network.weights=random",), None)]
)
def test_a_source_is_learnt_from_the_network_that_comes_along(overrides, starts, tmp_path):
    task = Task(["x"], tmp_path, torch.device("cpu"), "folder:y", None, 0, "cpu", None, overrides)
    plan = plan_stages(task, [], crops_source=False)
    assert [planned.stage.method for planned in plan] == ["source", "asa", "mean_teacher"]
    assert plan[0].settings.start == starts
    assert plan[1].settings.start == str(plan[0].run)
