import json
from pathlib import Path

import jsonschema
import pytest
import segmentation_models_pytorch as smp
import torch
import yaml
from huggingface_hub import ModelCard
from safetensors.torch import load_file

from fundus_uda.data.synthetic import render
from fundus_uda.segmentation.model import load_model


@pytest.fixture
def folder(exported):
    return exported("huggingface")[0]


def test_the_hubs_own_reader_takes_the_card(folder, seeing_run):
    card = ModelCard.load(folder / "README.md")
    assert (card.data.license, card.data.library_name) == ("other", "fundus-uda")
    scores = json.loads((seeing_run / "evaluation" / "last" / "summary.json").read_text())
    results = {result.metric_name: result.metric_value for result in card.data.eval_results}
    assert results["dice_disc"] == scores["dice_disc"]["mean"]
    assert card.data.eval_results[0].dataset_type == "folder"


def test_the_header_of_the_card_keeps_to_the_schema(folder):
    schema = json.loads((Path(__file__).parent / "card_schema.json").read_text())
    header = yaml.safe_load((folder / "README.md").read_text().split("---\n")[1])
    jsonschema.validate(header, schema)
    for broken in (
        {"license": None},
        {"place": "/home"},
        {"model-index": [{"name": "fundus-uda", "results": []}]},
    ):
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(header | broken, schema)


def test_the_code_of_the_card_loads_the_network(folder, seeing_run):
    config = json.loads((folder / "config.json").read_text())
    network = smp.DeepLabV3Plus(**config["architecture"])
    network.load_state_dict(load_file(folder / "model.safetensors"))
    ours = load_model(seeing_run, "cpu").network
    images = torch.rand(1, 3, 64, 64)
    with torch.no_grad():
        torch.testing.assert_close(network.eval()(images), ours(images), rtol=1e-4, atol=1e-4)
    assert config["id2label"] == {"0": "background", "1": "rim", "2": "cup"}


def test_its_weights_are_a_model(folder):
    photograph, _ = render("a", 0, 64)
    model = load_model(folder / "model.safetensors", "cpu")
    assert model.views(photograph[None], flips=True).shape == (3, 1, 3, 64, 64)
