import json
from pathlib import Path

import pandas as pd
import pytest
import torch
from torch import Tensor

from fundus_uda.engine import train as engine
from fundus_uda.engine.checkpoint import load_checkpoint, save_checkpoint
from fundus_uda.engine.state import build_state
from fundus_uda.errors import InputError
from roadscene.deeplab_v2 import DeepLabV2VGG16
from roadscene.evaluation import evaluate_model
from roadscene.model import load_model, parameter_groups, random_network
from roadscene.settings import RoadSettings, read_settings
from roadscene.training import train
from tests.fixtures.runs import power_failure
from tests.fixtures.tiny_streets import NETWORK, settings, streets

CPU = torch.device("cpu")
SURE = {"teacher": {"confidence": 0}}


@pytest.fixture(scope="module")
def root(tmp_path_factory) -> Path:
    return streets(tmp_path_factory.mktemp("streets"))


@pytest.fixture(scope="module")
def run(root) -> Path:
    train(settings(root), root / "run", CPU)
    return root / "run"


def segmenter_of(run):
    return load_checkpoint(run / "last.pt").state["segmenter"]


def test_a_run_is_trained_and_scored(run):
    summary = json.loads((run / "evaluation" / "last" / "summary.json").read_text())
    assert (summary["method"], summary["step"], summary["images"]) == ("asa", 3, 2)
    assert 0 < summary["19"]["miou"] < 1
    header, *rows = (run / "metrics.csv").read_text().splitlines()
    assert header == "step,segmentation,adversarial,discriminator"
    assert len(rows) == 3
    assert len((run / "snapshots.csv").read_text().splitlines()) == 3


def test_an_interrupted_run_continues_bit_for_bit(root, run):
    of, out = settings(root), root / "interrupted"
    with power_failure(engine, "adaptation_step", at=2):
        train(of, out, CPU)
    train(of, out, CPU, continue_run=True)
    unbroken, continued = segmenter_of(run), segmenter_of(out)
    assert all(torch.equal(unbroken[key], continued[key]) for key in unbroken)
    assert (out / "metrics.csv").read_text() == (run / "metrics.csv").read_text()


def test_evaluate_reproduces_the_score_of_training(root, run, tmp_path):
    uri = f"cityscapes:{root / 'target'}#val"
    assert evaluate_model(run, uri, tmp_path, CPU) == ""
    ours = json.loads((tmp_path / "summary.json").read_text())
    theirs = json.loads((run / "evaluation" / "last" / "summary.json").read_text())
    assert ours["19"] == theirs["19"]
    assert ours["checkpoint"] == "last"


@pytest.mark.parametrize("method", ["source", "oracle", "asc"])
def test_other_methods(root, tmp_path, method):
    of = settings(root, method=method, steps=1)
    summaries = train(of, tmp_path / "run", CPU)
    assert summaries["last"]["method"] == method
    lists = load_checkpoint(tmp_path / "run" / "last.pt").data
    assert (lists["target"] != "") == (method == "asc")
    source_list = load_checkpoint(root / "run" / "last.pt").data["source"]
    assert (lists["source"] != source_list) == (method == "oracle")


def test_initial_weights_are_reported(root, tmp_path):
    network = {"architecture": "deeplab_v2", "backbone": "vgg16", "weights": str(tmp_path / "w")}
    torch.save(DeepLabV2VGG16(21).state_dict(), tmp_path / "w")
    train(settings(root, method="source", network=network, steps=1), tmp_path / "run", CPU)
    report = (tmp_path / "run" / "weights.txt").read_text()
    assert "30 tensors loaded" in report
    assert "a head of 21 classes, not 19" in report


def test_nothing_is_written_for_wrong_data(root, tmp_path):
    of = settings(root)
    data = of.data.model_copy(update={"target": f"cityscapes:{root / 'source'}#val"})
    with pytest.raises(InputError, match="Expected cityscapes images at"):
        train(of.model_copy(update={"data": data}), tmp_path / "run", CPU)
    without = of.data.model_copy(update={"target": None})
    with pytest.raises(InputError, match=r"Expected data.target for the method asa"):
        train(of.model_copy(update={"data": without}), tmp_path / "run", CPU)
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
def test_real_photographs_by_day_and_at_dusk(real_data, tmp_path):
    overrides = ["start=null", "steps=1", "batch_size=2", "snapshot_every=1"]
    summaries = train(read_settings("cpu/asa", overrides), tmp_path / "run", CPU)
    assert summaries["last"]["images"] == 62
    table = pd.read_csv(tmp_path / "run" / "evaluation" / "last" / "iou.csv", index_col="class")
    labelled = set(table.index[table["labelled_pixels"] > 0])
    assert labelled == {"road", "sidewalk", "building", "fence", "pole", "sign", "veg", "sky",
                        "person", "car", "bike"}  # fmt: skip


@pytest.mark.parametrize("method", ["self_training", "mean_teacher"])
def test_a_teacher_starts_from_a_run(method, root, run, tmp_path):
    of = settings(root, method=method, start=str(run), steps=1, adaptation=SURE)
    train(of, tmp_path / "run", CPU)
    header, _ = (tmp_path / "run" / "metrics.csv").read_text().splitlines()
    first = "" if method == "self_training" else "segmentation,"
    assert header == f"step,{first}pseudo_label_fraction,teacher"
    checkpoint = load_checkpoint(tmp_path / "run" / "last.pt")
    first, teacher = segmenter_of(run), checkpoint.state["teacher"]
    same = all(torch.equal(first[name], teacher[name]) for name in first)
    assert same == (method == "self_training")


def untrained_run(folder: Path, of: RoadSettings) -> dict[str, Tensor]:
    """Writes the checkpoint of step 0; gives the network's tensors."""
    network = random_network(of)
    shares = torch.ones(of.data.classes)
    state = build_state(network, parameter_groups(network, of), shares, of, CPU)
    folder.mkdir()
    save_checkpoint(folder / "last.pt", state, of, {"source": "", "target": ""}, of.data.classes)
    return network.state_dict()


VGG = {"architecture": "deeplab_v2", "backbone": "vgg16", "weights": "random"}
RESNET = {**VGG, "backbone": "resnet101"}


@pytest.mark.parametrize(
    ("theirs", "ours", "found"),
    [
        (NETWORK, {"encoder": "resnet18"}, "network.encoder: 'resnet18' here, 'tu-tf_eff"),
        (VGG, {"backbone": "resnet101"}, "network.backbone: 'resnet101' here, 'vgg16' there"),
        (VGG, {"normalisation": "torchvision"}, "'torchvision' here, 'bgr' there"),
    ],
)
def test_a_start_of_another_network_is_refused(root, tmp_path, theirs, ours, found):
    start = tmp_path / "start"
    untrained_run(start, settings(root, network=theirs))
    of = settings(root, method="source", network={**theirs, **ours}, start=str(start))
    with pytest.raises(InputError, match=f"Expected the network of .*start. Got:\n  .*{found}"):
        train(of, tmp_path / "run", CPU)


def test_a_start_of_other_classes_is_refused(root, run, tmp_path):
    sixteen = settings(root, start=str(run)).model_dump(mode="json")
    sixteen["data"]["classes"] = 16
    with pytest.raises(InputError, match="data.classes: 16 here, 19 there"):
        train(RoadSettings.model_validate(sixteen), tmp_path / "run", CPU)


def test_a_start_may_have_other_initial_weights_and_rates(root, tmp_path):
    start = tmp_path / "start"
    first = untrained_run(start, settings(root, network=VGG))
    network = {**VGG, "weights": "imagenet", "backbone_lr": "repeated"}
    of = settings(
        root, method="self_training", network=network, start=str(start), steps=1, adaptation=SURE
    )
    train(of, tmp_path / "run", CPU)
    teacher = load_checkpoint(tmp_path / "run" / "last.pt").state["teacher"]
    assert all(torch.equal(first[name], teacher[name]) for name in first)


@pytest.mark.slow
@pytest.mark.parametrize("there", [True, False])
def test_heads_of_a_start_are_matched_where_one_is_auxiliary(root, tmp_path, there):
    start, heads = tmp_path / "start", {"auxiliary": {}}
    first = untrained_run(start, settings(root, network=RESNET, adaptation=heads if there else {}))
    of = settings(
        root, method="self_training", network=RESNET, start=str(start), steps=1, batch_size=1,
        adaptation=SURE | ({} if there else heads),
    )  # fmt: skip
    train(of, tmp_path / "run", CPU)
    trained = load_model(tmp_path / "run", CPU)  # is what its own settings say
    teacher = load_checkpoint(tmp_path / "run" / "last.pt").state["teacher"]
    theirs, ours = ("layer6", "layer5") if there else ("layer5", "layer6")
    assert trained.settings.adaptation.auxiliary == of.adaptation.auxiliary
    for branch in range(4):
        name = f"conv2d_list.{branch}.weight"
        assert torch.equal(first[f"{theirs}.{name}"], teacher[f"{ours}.{name}"])
    assert torch.equal(first["layer4.2.conv3.weight"], teacher["layer4.2.conv3.weight"])
    report = (tmp_path / "run" / "weights.txt").read_text()
    assert ("a head on 1024 channels, which this network lacks" in report) == there
    assert ("left as initialised: layer5" in report) == (not there)
