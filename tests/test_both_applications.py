"""What one application refuses, notices or survives, the other does too: each test is for both."""

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import segmentation_models_pytorch as smp
import torch
import typer
from PIL import Image
from torch import nn
from typer.testing import CliRunner

import cli.main
import cli.roadscene
import fundus_uda.clinic.predict
import fundus_uda.segmentation.evaluation
import roadscene.evaluation
import roadscene.prediction
from fundus_uda.application import FUNDUS
from fundus_uda.engine import distributed
from fundus_uda.engine import train as engine
from fundus_uda.engine.checkpoint import checksum, load_checkpoint
from fundus_uda.engine.run_folder import RunFolder
from fundus_uda.engine.settings import EngineSettings
from fundus_uda.errors import InputError
from fundus_uda.experiments.tables import Application
from fundus_uda.translation.settings import HistogramSettings
from fundus_uda.unfinished import Unfinished
from roadscene.application import ROADSCENE
from roadscene.model import Model
from tests.fixtures import tiny_streets
from tests.fixtures.ranks import in_processes
from tests.fixtures.runs import assert_identical, power_failure
from tests.fixtures.seeing import brightness_model
from tests.fixtures.small_run import small_settings

CPU = torch.device("cpu")


@dataclass
class Rendered:
    """An application on small rendered data of its own, which a test may damage."""

    application: Application
    app: typer.Typer
    """Its commands."""
    settings: EngineSettings
    """A run of one step, with test data."""
    label: Path
    """Of the first source image."""
    test_image: Path
    test_label: Path
    """Of the last test image."""
    photographs: Path
    """A folder of source images, which `predict` can read."""
    predict: Callable[..., pd.DataFrame]
    """With a network that needs no training."""
    evaluate: Callable[..., Any]
    """Into a folder, by a run if one is named."""
    outputs: tuple[str, ...]
    """The files that `predict` writes of the image {}."""
    readers: tuple[str, ...]
    """The functions by which commands come to data and models."""

    def train(self, out: Path, continue_run: bool = False) -> dict[str, Any]:
        return self.application.train(self.settings, out, CPU, continue_run)

    def translate(self, out: Path) -> str:
        data = self.settings.data
        of = HistogramSettings(source=data.source, target=data.target)
        return self.application.translate(of, None, out, CPU, False)


def fundus(root: Path, cameras: Path) -> Rendered:
    shutil.copytree(cameras, root)
    shutil.copytree(cameras / "b", root / "test")
    model, test = brightness_model(root), f"folder:{root / 'test'}"
    one_step = ["method=asc", "steps=1", "snapshot_every=1", f"data.test={test}"]
    evaluate_model = fundus_uda.segmentation.evaluation.evaluate_model
    return Rendered(
        application=FUNDUS,
        app=cli.main.app,
        settings=small_settings(root, *one_step),
        label=min((root / "a" / "masks").iterdir()),
        test_image=max((root / "test" / "images").iterdir()),
        test_label=max((root / "test" / "masks").iterdir()),
        photographs=root / "a" / "images",
        predict=partial(fundus_uda.clinic.predict.predict, model),
        evaluate=lambda out, run=root, **more: evaluate_model(run, test, None, out, CPU, **more),
        outputs=("masks/{}.png", "masks/{}.nii.gz", "overlays/{}.jpg", "crops/{}.jpg",
                 "affinity/{}.png"),
        readers=(
            "fundus_uda.segmentation.training.load_labelled",
            "fundus_uda.segmentation.training.load_samples",
            "fundus_uda.segmentation.training.load_model",
            "fundus_uda.segmentation.evaluation.load_labelled",
            "fundus_uda.segmentation.evaluation.load_model",
            "fundus_uda.segmentation.translated_source.load_samples",
            "fundus_uda.segmentation.translated_source.load_model",
            "fundus_uda.clinic.predict.list_photographs",
        ),
    )  # fmt: skip


class Road(nn.Module):
    """Every pixel is road."""

    def forward(self, image):
        return torch.eye(19)[0].reshape(1, 19, 1, 1).expand(len(image), 19, *image.shape[2:])


def streets(root: Path, _: Path) -> Rendered:
    tiny_streets.streets(root)
    settings = tiny_streets.settings(root, method="asc", steps=1, snapshot_every=1)
    model, test = Model(Road(), settings, CPU), settings.data.test
    evaluate_model = roadscene.evaluation.evaluate_model
    return Rendered(
        application=ROADSCENE,
        app=cli.roadscene.app,
        settings=settings,
        label=min((root / "source").rglob("*_labelIds.png")),
        test_image=max((root / "target" / "leftImg8bit" / "val" / "dusk").iterdir()),
        test_label=max((root / "target" / "gtFine" / "val").rglob("*_labelIds.png")),
        photographs=root / "source" / "leftImg8bit" / "train" / "day",
        predict=partial(roadscene.prediction.predict, model),
        evaluate=lambda out, run=root, **more: evaluate_model(run, test, out, CPU, **more),
        outputs=("label_ids/{}.png", "colour/{}.png"),
        readers=(
            "roadscene.training.load_frames",
            "roadscene.training.load_model",
            "roadscene.evaluation.load_frames",
            "roadscene.evaluation.load_model",
            "roadscene.translated_source.load_frames",
            "roadscene.translated_source.load_model",
            "roadscene.prediction.images_in",
            "roadscene.prediction.read_frame",
        ),
    )


@pytest.fixture(params=[fundus, streets], ids=["fundus", "roadscene"])
def rendered(request, tmp_path, cameras) -> Rendered:
    return request.param(tmp_path / "data", cameras)


def truncate(path: Path) -> None:
    contents = path.read_bytes()
    path.write_bytes(contents[: len(contents) // 2])


def never(*_, **__):
    raise AssertionError("this must not be called")


@pytest.mark.parametrize("which", ["test_image", "test_label"])
def test_a_damaged_test_image_is_refused_before_training(which, rendered, tmp_path, monkeypatch):
    damaged = getattr(rendered, which)
    truncate(damaged)
    monkeypatch.setattr(engine, "adaptation_step", never)
    with pytest.raises(InputError, match=f"Expected a .*{damaged.name}. Got: "):
        rendered.train(tmp_path / "run")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("command", ["train", "evaluate", "predict", "translate"])
def test_an_occupied_out_is_refused_before_any_data_is_read(
    command, rendered, tmp_path, monkeypatch
):
    commands = {
        "train": rendered.train,
        "evaluate": rendered.evaluate,
        "predict": lambda out: rendered.predict([rendered.photographs], out),
        "translate": rendered.translate,
    }
    out = tmp_path / "out"
    out.mkdir()
    (out / "mine.txt").write_text("kept")
    for reader in rendered.readers:
        monkeypatch.setattr(reader, never)
    monkeypatch.setattr(Image, "open", never)
    with pytest.raises(InputError, match="new or empty output folder. Got: .*/out, which holds"):
        commands[command](out)
    assert [path.name for path in out.iterdir()] == ["mine.txt"]
    assert (out / "mine.txt").read_text() == "kept"


def test_predictions_are_replaced_on_request_but_for_what_a_reader_corrected(rendered, tmp_path):
    out, photographs = tmp_path / "out", sorted(rendered.photographs.iterdir())
    rendered.predict(photographs[:2], out)
    first, second = (rendered.outputs[0].format(path.stem) for path in photographs[:2])
    with pytest.raises(InputError, match="add --overwrite to replace what it wrote"):
        rendered.predict(photographs[1:2], out)
    rendered.predict(photographs[1:2], out, overwrite=True)
    assert not (out / first).exists()
    (out / second).write_bytes(b"corrected by hand")
    with pytest.raises(InputError, match=f"Got: {out / second}, which was added or changed"):
        rendered.predict(photographs[:1], out, overwrite=True)
    assert (out / second).read_bytes() == b"corrected by hand"


def test_scores_are_replaced_on_request_but_for_what_somebody_changed(rendered, tmp_path):
    out, run = tmp_path / "out", tmp_path / "run"
    rendered.train(run)
    rendered.evaluate(out, run)
    with pytest.raises(InputError, match="add --overwrite to replace what it wrote"):
        rendered.evaluate(out, run)
    rendered.evaluate(out, run, overwrite=True)
    (table,) = out.glob("*.csv")
    table.write_text("with remarks")
    with pytest.raises(InputError, match=f"Got: {table}, which was added or changed since"):
        rendered.evaluate(out, run, overwrite=True)
    assert table.read_text() == "with remarks"


def test_a_label_edited_in_place_is_noticed_on_resume(rendered, tmp_path):
    """Its name and the size of its file are as before."""
    with Image.open(rendered.label) as label:
        label.load()
    label.save(rendered.label, compress_level=0)
    before = rendered.label.stat().st_size
    rendered.train(tmp_path / "run")
    checkpoint = RunFolder(tmp_path / "run").last
    trained = checkpoint.read_bytes()

    label.transpose(Image.Transpose.FLIP_LEFT_RIGHT).save(rendered.label, compress_level=0)
    assert rendered.label.stat().st_size == before
    with pytest.raises(InputError, match="fingerprint of source: '.*' here, '.*' there"):
        rendered.train(tmp_path / "run", continue_run=True)
    assert checkpoint.read_bytes() == trained

    label.save(rendered.label, compress_level=0)  # as it was: the run goes on
    assert rendered.train(tmp_path / "run", continue_run=True)["last"]["step"] == 1


def test_two_processes_train_as_one(rendered, tmp_path, monkeypatch):
    """But for dropout, whose draws differ; the first process alone writes and scores."""
    monkeypatch.setattr(nn.Dropout, "forward", lambda _, x: x)
    alone = rendered.train(tmp_path / "one")["last"]

    def work():
        with distributed.joined(CPU):
            scored = rendered.train(tmp_path / "two")
            assert bool(scored) == (distributed.rank() == 0)

    assert in_processes(work) == [(0, ""), (0, "")]
    losses = [pd.read_csv(tmp_path / name / "metrics.csv") for name in ("one", "two")]
    pd.testing.assert_frame_equal(*losses, rtol=1e-3)
    one, two = (load_checkpoint(RunFolder(tmp_path / name).last) for name in ("one", "two"))
    for name, weight in one.weights.items():  # a random network amplifies the order of sums
        torch.testing.assert_close(two.weights[name], weight, rtol=1e-3, atol=2e-2, msg=name)
    environment = json.loads((tmp_path / "two" / "environment.json").read_text())
    assert environment["processes"] == 2
    summary = json.loads((tmp_path / "two" / "evaluation" / "last" / "summary.json").read_text())
    assert summary["images"] == alone["images"]


def test_one_image_per_process_is_not_normalised_by_itself(rendered, tmp_path):
    rendered.settings = rendered.settings.model_copy(update={"batch_norm": "local"})

    def work():
        with distributed.joined(CPU):
            rendered.train(tmp_path / "run")

    (code, told), (other, _) = in_processes(work)
    assert (code, other) == (1, 2)  # of the raising process, and of the one that it ends
    assert told == (
        "InputError: Expected a batch_size of at least 4 with batch_norm=local and 2 processes, as "
        "DeepLabv3+ cannot normalise over one image. Got: 2. Set batch_size=4, or "
        "batch_norm=synchronised."
    )
    assert not (tmp_path / "run").exists()


def test_a_restarted_process_goes_on_without_being_told(rendered, tmp_path, monkeypatch):
    """As torchrun begins it anew, with the command line of the first."""
    rendered.train(tmp_path / "run")
    file = tmp_path / "run" / "config.yaml"
    command = [*("train", str(file)), "--out", str(tmp_path / "run"), "--device", "cpu"]
    refused = CliRunner().invoke(rendered.app, command)
    assert "new or empty output folder" in str(refused.exception)
    monkeypatch.setenv("TORCHELASTIC_RESTART_COUNT", "1")
    assert CliRunner().invoke(rendered.app, command).exit_code == 0


def test_a_run_goes_on_with_its_data_elsewhere(rendered, tmp_path):
    """On another machine, or from another working folder, they have other addresses."""
    weights = tmp_path / "here" / "weights.pth"
    data = rendered.settings.data
    root = Path(data.source.partition(":")[2].partition("#")[0]).parent
    shutil.copytree(root, tmp_path / "here")
    network = rendered.settings.network
    encoder = smp.encoders.get_encoder(network.encoder, weights=None)
    torch.save(encoder.state_dict(), weights)
    text = rendered.settings.model_dump_json().replace(str(root), str(tmp_path / "here"))
    given = json.loads(text)
    given["network"]["weights"] = str(weights)
    model = type(rendered.settings)
    rendered.application.train(model.model_validate(given), tmp_path / "run", CPU)

    (tmp_path / "here").rename(tmp_path / "there")
    moved = json.loads(json.dumps(given).replace(str(tmp_path / "here"), str(tmp_path / "there")))
    settings = model.model_validate(moved)
    summaries = rendered.application.train(settings, tmp_path / "run", CPU, True)
    assert summaries["last"]["step"] == 1
    assert str(tmp_path / "here") not in (tmp_path / "run" / "config.yaml").read_text()

    test = tmp_path / "there" / rendered.test_label.relative_to(root)
    test.write_bytes(test.read_bytes() + b"\0")
    with pytest.raises(InputError, match="fingerprint of test: '.*' here, '.*' there") as raised:
        rendered.application.train(settings, tmp_path / "run", CPU, True)
    assert "data.source" not in str(raised.value)


def test_a_damaged_photograph_is_a_row_with_a_reason_and_the_others_are_done(
    rendered, tmp_path, capsys
):
    damaged, *others = sorted(rendered.photographs.iterdir())
    truncate(damaged)
    (rendered.photographs / "notes.txt").write_text("none")
    out = tmp_path / "out"
    rows = rendered.predict([rendered.photographs], out).set_index("image")
    assert sorted(rows.index) == [file.stem for file in (damaged, *others)]
    assert "Passed over, being no images: 1 file: notes.txt." in capsys.readouterr().err
    assert rows["status"][damaged.stem] == "unreadable"
    assert rows["reason"][damaged.stem].startswith("Expected a readable ")
    assert not any((out / file.format(damaged.stem)).exists() for file in rendered.outputs)
    assert len(others) >= 3
    for image in others:
        assert rows["status"][image.stem] in ("ok", "flagged")
        assert not rows["reason"][image.stem]
        for file in rendered.outputs:
            assert (out / file.format(image.stem)).is_file(), file


def test_a_stopped_prediction_goes_on_and_equals_an_unbroken_one(rendered, tmp_path, monkeypatch):
    whole = rendered.predict([rendered.photographs], tmp_path / "whole")
    out = tmp_path / "out"
    added, add = [], Unfinished.add

    def stops_at_the_third(self, row):
        if len(added) == 2:
            self.file.open("a").write('{"image": "cut o')
            raise KeyboardInterrupt
        added.append(row)
        add(self, row)

    with monkeypatch.context() as patch:
        patch.setattr(Unfinished, "add", stops_at_the_third)
        with pytest.raises(KeyboardInterrupt):
            rendered.predict([rendered.photographs], out)
    some = min(rendered.photographs.iterdir())
    with pytest.raises(InputError, match="same photographs, model and options .*Got: others"):
        rendered.predict([some], out)
    last = max(rendered.photographs.iterdir())
    contents = last.read_bytes()
    last.write_bytes(contents[:-1] + b"x")  # another photograph of the same size
    with pytest.raises(InputError, match="same photographs, model and options .*Got: others"):
        rendered.predict([rendered.photographs], out)
    last.write_bytes(contents)
    again = rendered.predict([rendered.photographs], out)
    pd.testing.assert_frame_equal(again, whole)
    one, other = (
        {path.relative_to(folder).as_posix() for path in folder.rglob("*")}
        for folder in (tmp_path / "whole", out)
    )
    assert one == other


def with_selected(run: RunFolder) -> dict[str, Any]:
    """Give a run a selected checkpoint of other weights than its last; return them."""
    contents = torch.load(run.last, weights_only=True)
    for tensor in contents["state"]["segmenter"].values():
        if tensor.is_floating_point():
            tensor.mul_(0.5)
    contents.pop("checksum")
    torch.save({**contents, "checksum": checksum(contents)}, run.selected)
    return dict(contents["state"]["segmenter"])


def test_a_run_starts_from_the_named_checkpoint(rendered, tmp_path):
    rendered.train(tmp_path / "start")
    start = RunFolder(tmp_path / "start")
    start.selected.unlink(missing_ok=True)
    goes_on = {"start": str(start.path), "start_checkpoint": "selected"}
    plain = rendered.settings
    rendered.settings = plain.model_copy(update=goes_on)
    message = f"run folder with selected.pt at {start.path}. Got: none, .* Take its last checkpoint"
    with pytest.raises(InputError, match=message):
        rendered.train(tmp_path / "refused")
    assert not (tmp_path / "refused").exists()

    weights = {"selected": with_selected(start), "last": load_checkpoint(start.last).weights}
    for which, expected in weights.items():
        rendered.settings = plain.model_copy(update=goes_on | {"start_checkpoint": which})
        with power_failure(engine, "adaptation_step", at=0):
            rendered.train(tmp_path / which)
        begun = load_checkpoint(RunFolder(tmp_path / which).last)
        assert begun.step == 0
        assert_identical(begun.weights, expected)


@pytest.mark.parametrize("command", ["predict", "evaluate", "draw"])
def test_commands_load_the_selected_checkpoint_where_it_is_asked_for(command, rendered, tmp_path):
    """The last one is damaged, so that it cannot be what was loaded."""
    rendered.train(tmp_path / "run")
    run, test = RunFolder(tmp_path / "run"), rendered.settings.data.test
    run.selected.unlink(missing_ok=True)
    arguments = {
        "predict": ["predict", str(run.path), str(rendered.photographs)],
        "evaluate": ["evaluate", str(run.path), test],
        "draw": ["draw", test, str(run.path), "--rows", "1"],
    }[command]
    runner = CliRunner()

    def invoke(name, *options):
        out = str(tmp_path / name)
        given = [*arguments, "--out", out, "--device", "cpu", *options]
        return runner.invoke(rendered.app, given, catch_exceptions=False)

    with pytest.raises(InputError, match="Expected a run folder with selected.pt"):
        invoke("none", "--checkpoint", "selected")
    with_selected(run)
    truncate(run.last)
    with pytest.raises(InputError, match="Expected a checkpoint of this program at .*last.pt"):
        invoke("of_last.png")
    done = invoke("of_selected.png", "--checkpoint", "selected")
    assert done.exit_code in ((0, 3) if command == "predict" else (0,)), done.output
    assert (tmp_path / "of_selected.png").exists()
    if command == "evaluate":
        summary = json.loads((tmp_path / "of_selected.png" / "summary.json").read_text())
        assert (summary["checkpoint"], summary["step"]) == ("selected", 1)
