"""The default recipe on embedded photographs, in stages of one step."""

import json
import shutil

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image, ImageOps

from fundus_uda import weights
from fundus_uda.data.datasets import load_samples
from fundus_uda.data.inspection import shows_whole_photographs
from fundus_uda.data.photograph_files import read_sample
from fundus_uda.data.synthetic import render
from fundus_uda.engine.checkpoint import load_checkpoint
from fundus_uda.engine.model_path import checkpoint_file, kept_run
from fundus_uda.engine.selection import SelectionScore
from fundus_uda.errors import InputError, RunError
from fundus_uda.export.formats import export
from fundus_uda.recipe import adapt as recipe
from fundus_uda.recipe import judging, outlining, plan
from fundus_uda.recipe.adapt import adapt, first_network, photographs_of
from fundus_uda.segmentation.comparison import compare
from fundus_uda.segmentation.model import load_model
from fundus_uda.segmentation.quality import Judgement
from tests.fixtures.dicom import write_dicom
from tests.fixtures.fields import whole_field
from tests.fixtures.runs import assert_identical

CPU = torch.device("cpu")
TINY = ("data.size=64", "batch_size=2", "steps=1", "snapshot_every=1", "affinity.stride=1")


@pytest.fixture(scope="module")
def adapted(cameras, tmp_path_factory):
    """Camera a to the photographs of camera b, which has masks: (folder, the stages)."""
    out = tmp_path_factory.mktemp("adapt") / "out"
    source, target = f"folder:{cameras / 'a'}", [f"folder:{cameras / 'b'}"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(recipe, "reason_to_reject", lambda *_: "")  # one step improves nothing
        return out, adapt(target, out, CPU, source=source, overrides=TINY)


def test_each_stage_starts_from_the_one_before_and_is_scored(adapted):
    out, stages = adapted
    assert stages["stage"].tolist() == ["source", "asa", "mean_teacher"]
    assert stages["dice_mean"].between(0, 1).all()
    assert stages["left_out"].tolist() == [False, False, False]
    written = pd.read_csv(out / "stages.csv", keep_default_na=False)
    pd.testing.assert_frame_equal(written, stages, check_dtype=False)
    runs = sorted((out / "stages").iterdir())
    settings = [load_checkpoint(run / "last.pt").settings for run in runs]
    assert [of["start"] for of in settings] == [None, str(runs[0]), str(runs[1])]
    assert {of["data"]["augmentation"] for of in settings} == {"strong"}
    assert {of["data"]["source_sizes"] for of in settings} == {"target"}
    assert {of["seed"] for of in settings} == {0}


def test_the_folder_is_a_model_everywhere(adapted, cameras, tmp_path):
    out, stages = adapted
    kept = stages[~stages["left_out"]].iloc[-1]["stage"]
    run = next(path for path in (out / "stages").iterdir() if path.name.endswith(kept))
    assert checkpoint_file(out) == run / "last.pt"
    assert torch.equal(*(load_model(path, CPU).label_shares for path in (out, run)))
    assert kept_run(out) == run
    assert compare([out])["dice_mean"].tolist() == compare([run])["dice_mean"].tolist()
    moved = tmp_path / "moved"
    shutil.copytree(out, moved)
    assert checkpoint_file(moved) == moved / "stages" / run.name / "last.pt"
    text = (out / "README.txt").read_text()
    assert f"fundus-uda predict {out} PHOTOS" in text

    # As the start of another adaptation, whose stage is left out: that stands for it, too.
    next_out = tmp_path / "next"
    target = [str(cameras / "b" / "images")]
    stages = adapt(target, next_out, CPU, model=out, overrides=TINY[1:])
    left_out = bool(stages["left_out"].iloc[-1])
    expected = run if left_out else next_out / "stages" / "3_mean_teacher"
    assert kept_run(next_out) == expected
    assert first_network(next_out) == (None if left_out else out)


def test_both_networks_outline_the_target(adapted):
    out, _ = adapted
    for folder in ("before", "predictions"):
        assert len(pd.read_csv(out / folder / "measurements.csv")) == 6
    figures = json.loads((out / "predictions" / "report.json").read_text())
    assert figures["after"]["scores"]["images"] == figures["before"]["scores"]["images"] == 6


def test_a_broken_adaptation_goes_on(adapted, cameras, tmp_path, monkeypatch):
    whole, _ = adapted
    monkeypatch.setattr(recipe, "reason_to_reject", lambda *_: "")
    source, target = f"folder:{cameras / 'a'}", [f"folder:{cameras / 'b'}"]
    out = tmp_path / "out"

    def stops_at_the_second(settings, run, *arguments, **more):
        if run.name.startswith("2"):
            raise KeyboardInterrupt
        return train(settings, run, *arguments, **more)

    train = recipe.train
    with monkeypatch.context() as patch:
        patch.setattr(recipe, "train", stops_at_the_second)
        with pytest.raises(KeyboardInterrupt):
            adapt(target, out, CPU, source=source, overrides=TINY)
    with pytest.raises(InputError, match="new or empty output folder"):
        adapt(target, out, CPU, source=source, overrides=TINY)

    def stops_at_the_second_set(model, paths, folder, *arguments, **more):
        if folder.name == "predictions":
            (folder / "masks").mkdir(parents=True)
            raise KeyboardInterrupt
        return predict(model, paths, folder, *arguments, **more)

    predict = outlining.predict
    with monkeypatch.context() as patch:
        patch.setattr(outlining, "predict", stops_at_the_second_set)
        with pytest.raises(KeyboardInterrupt):
            adapt(target, out, CPU, source=source, overrides=TINY, continue_run=True)
    shutil.copytree(cameras, tmp_path / "elsewhere")  # as on another machine
    source, target = (f"folder:{tmp_path / 'elsewhere' / name}" for name in "ab")
    stages = adapt([target], out, CPU, source=source, overrides=TINY, continue_run=True)
    assert len(stages) == 3
    assert len(pd.read_csv(out / "predictions" / "measurements.csv")) == 6
    weights = [
        load_checkpoint(folder / "stages" / "3_mean_teacher" / "last.pt").weights
        for folder in (whole, out)
    ]
    assert_identical(*weights)


def test_photographs_and_a_model_without_any_source(adapted, cameras, tmp_path, monkeypatch):
    whole, _ = adapted
    photographs = tmp_path / "clinic"
    shutil.copytree(cameras / "b" / "images", photographs)
    (photographs / "note.png").write_bytes(b"no image")
    model = whole / "stages" / "1_source"
    steps = TINY[1:]  # the size is that of the model
    monkeypatch.setattr(recipe, "reason_to_reject", lambda *_: "")  # one step improves nothing
    monkeypatch.chdir(whole)
    given = model.relative_to(whole)
    stages = adapt([str(photographs)], tmp_path / "out", CPU, model=given, overrides=steps)
    monkeypatch.chdir(tmp_path)
    assert first_network(tmp_path / "out") == model
    assert stages["stage"].tolist() == ["model", "mean_teacher"]
    assert "dice_mean" not in stages
    run = tmp_path / "out" / "stages" / "3_mean_teacher"
    assert pd.read_csv(run / "metrics.csv").columns.tolist() == [
        "step",
        "pseudo_label_fraction",
        "teacher",
    ]
    assert load_checkpoint(run / "last.pt").settings["data"]["size"] == 64
    table = pd.read_csv(tmp_path / "out" / "predictions" / "measurements.csv").set_index("image")
    assert table["status"]["note"] == "unreadable"
    assert len(table) == 7


def test_a_collapsed_stage_is_left_out(cameras, tmp_path, monkeypatch):
    def score(model, *_):
        return SelectionScore(0.99, 1.0, collapsed=model.settings.method == "asa")

    monkeypatch.setattr(judging, "score_on_target", score)
    source, target = f"folder:{cameras / 'a'}", [f"folder:{cameras / 'b'}"]
    stages = adapt(target, tmp_path / "out", CPU, source=source, overrides=TINY)
    assert stages["left_out"].tolist() == [False, True]
    used = json.loads((tmp_path / "out" / "predictions" / "summary.json").read_text())
    assert used["model"]["method"] == "source"
    note = "alignment: The prediction on these photographs collapsed. The network before it"
    assert note in (tmp_path / "out" / "predictions" / "report.html").read_text()


@pytest.mark.parametrize("left_out", [True, False])
def test_a_stage_must_raise_the_estimated_dice(cameras, tmp_path, monkeypatch, left_out):
    def estimate(model, *_):
        estimates = {"source": 0.8, "asa": 0.8 if left_out else 0.82, "mean_teacher": 0.9}
        return Judgement(np.full(6, estimates[model.settings.method]), 0.3, 0.1)

    monkeypatch.setattr(judging, "judge", estimate)
    monkeypatch.setattr(judging, "score_on_target", lambda *_: SelectionScore(0.99, 2.0, False))
    source, target = f"folder:{cameras / 'a'}", [f"folder:{cameras / 'b'}"]
    stages = adapt(target, tmp_path / "out", CPU, source=source, overrides=TINY)
    kept = [0.8] if left_out else [0.8, 0.82, 0.9]
    assert stages["estimated_dice"].tolist() == pytest.approx([0.8, 0.8] if left_out else kept)
    assert stages["left_out"].tolist() == ([False, True] if left_out else [False] * 3)
    reason = (
        "Without labels, its Dice is estimated at 0.8000, and at 0.8000 with the network before "
        "it: no rise of more than the standard error of 0.0000."
    )
    assert stages["reason"].tolist() == (["", reason] if left_out else [""] * 3)
    used = json.loads((tmp_path / "out" / "predictions" / "summary.json").read_text())
    assert used["model"]["method"] == ("source" if left_out else "mean_teacher")


def test_a_model_that_has_collapsed_itself_is_used_with_a_warning(
    adapted, cameras, tmp_path, monkeypatch
):
    whole, _ = adapted
    monkeypatch.setattr(judging, "score_on_target", lambda *_: SelectionScore(1.0, 1.0, True))
    model, target = whole / "stages" / "1_source", [str(cameras / "b" / "images")]
    stages = adapt(target, tmp_path / "out", CPU, model=model, overrides=TINY[1:])
    assert stages["collapsed"].tolist() == [True, True]
    assert stages["left_out"].tolist() == [False, True]
    used = json.loads((tmp_path / "out" / "predictions" / "summary.json").read_text())
    assert used["model"]["method"] == "source"
    assert used["note"].endswith("The prediction on these photographs collapsed. Do not trust it.")


def test_a_stage_that_fails_leaves_the_network_before_it(cameras, tmp_path, monkeypatch):
    def diverges(settings, run, *arguments, **more):
        if run.name.startswith("2"):
            raise RunError("Expected finite losses.")
        return train(settings, run, *arguments, **more)

    train = recipe.train
    monkeypatch.setattr(recipe, "train", diverges)
    source, target = f"folder:{cameras / 'a'}", [f"folder:{cameras / 'b'}"]
    stages = adapt(target, tmp_path / "out", CPU, source=source, overrides=TINY)
    assert stages["left_out"].tolist() == [False, True]
    assert stages["reason"].tolist() == ["", "Expected finite losses."]
    assert (tmp_path / "out" / "predictions" / "report.html").is_file()


def test_a_dataset_in_which_no_disc_is_found_is_refused(cameras, tmp_path):
    (tmp_path / "dark" / "images").mkdir(parents=True)
    for number in range(3):
        Image.new("RGB", (400, 300)).save(tmp_path / "dark" / "images" / f"{number}.png")
    target = [f"folder:{tmp_path / 'dark'}"]
    with pytest.raises(InputError, match="none in the 3 that were searched, of 3"):
        adapt(target, tmp_path / "out", CPU, source=f"folder:{cameras / 'a'}")


def test_the_size_is_that_of_the_model(cameras, tmp_path):
    target = [str(cameras / "b" / "images")]
    with pytest.raises(InputError, match=r"no data.size=…, which --model gives. Got: data.size=64"):
        adapt(target, tmp_path / "out", CPU, model=tmp_path, overrides=TINY)


def test_three_photographs_in_a_csv_one_of_them_dicom(adapted, cameras, tmp_path, monkeypatch):
    # what two steps teach is no disc, and of no human size
    monkeypatch.setattr("fundus_uda.clinic.outlining.is_disc", lambda _: True)
    monkeypatch.setattr("fundus_uda.clinic.predict.plausible_spacing", lambda _, spacing: spacing)
    whole, _ = adapted
    pixels, _ = render("b", 3, 200)
    write_dicom(tmp_path / "a.dcm", pixels, Rows=200, Columns=200, PixelSpacing=[0.02, 0.02])
    first, second = sorted((cameras / "b" / "images").iterdir())[:2]
    listed = f"id,path\none,{first}\ntwo,{second}\nthree,a.dcm\n"
    (tmp_path / "clinic.csv").write_text(listed)
    target, model = [str(tmp_path / "clinic.csv")], whole / "stages" / "1_source"
    stages = adapt(target, tmp_path / "out", CPU, model=model, overrides=TINY[1:])
    assert len(stages) == 2
    table = pd.read_csv(tmp_path / "out" / "predictions" / "measurements.csv").set_index("image")
    assert sorted(table.index) == ["one", "three", "two"]
    assert table["status"].isin(["ok", "flagged"]).all()
    assert table["disc_height_mm"].notna().to_dict() == {"one": False, "three": True, "two": False}


def test_three_photographs_of_one_eye_are_measured_alike(adapted, cameras, tmp_path):
    whole, _ = adapted
    photographs = tmp_path / "clinic"
    photographs.mkdir()
    one = sorted((cameras / "b" / "images").iterdir())[0]
    for visit in ("first", "second", "third"):
        shutil.copy(one, photographs / f"{visit}{one.suffix}")
    model, steps = whole / "stages" / "1_source", TINY[1:]
    stages = adapt([str(photographs)], tmp_path / "out", CPU, model=model, overrides=steps)
    assert stages["estimated_dice"].between(0, 1).all()
    table = pd.read_csv(tmp_path / "out" / "predictions" / "measurements.csv")
    assert table["image"].tolist() == ["first", "second", "third"]
    assert len(table.drop(columns="image").drop_duplicates()) == 1


def test_a_dataset_without_its_mask_files_at_a_path_that_looks_like_yaml(
    adapted, cameras, tmp_path
):
    whole, _ = adapted
    root = tmp_path / "a: 1, #2"
    shutil.copytree(cameras / "b" / "images", root / "data" / "Training400")
    model = root / "model"
    shutil.copytree(whole / "stages" / "1_source", model)
    target = [f"refuge:{root / 'data'}"]
    stages = adapt(target, root / "out", CPU, model=model, overrides=TINY[1:])
    assert "dice_mean" not in stages
    assert (root / "out" / "predictions" / "report.html").is_file()


def test_a_source_of_whole_photographs_is_cropped(cameras, tmp_path):
    for folder in ("images", "masks"):
        (tmp_path / "whole" / folder).mkdir(parents=True)
        for file in (cameras / "a" / folder).iterdir():
            crop = Image.open(file)
            whole = Image.new(crop.mode, (5 * crop.width, 4 * crop.height))
            whole.paste(crop, (3 * crop.width, crop.height))
            whole.save(tmp_path / "whole" / folder / file.name)
    source, target = f"folder:{tmp_path / 'whole'}", [f"folder:{cameras / 'b'}"]
    adapt(target, tmp_path / "out", CPU, source=source, overrides=TINY)
    run = tmp_path / "out" / "stages" / "1_source"
    used = load_checkpoint(run / "last.pt").settings["data"]["source"]
    assert used == f"folder:{tmp_path / 'out' / 'source'}"
    samples = load_samples(used)
    assert len(samples) == 8
    assert not shows_whole_photographs(samples)

    corrected = min((tmp_path / "whole" / "masks").iterdir())
    ImageOps.mirror(Image.open(corrected)).save(corrected)
    for other in (source, f"folder:{cameras / 'a'}"):  # of crops, which are not cut
        with pytest.raises(InputError, match="Expected the --source whose photographs and masks"):
            adapt(target, tmp_path / "out", CPU, source=other, overrides=TINY, continue_run=True)


def test_a_target_set_of_whole_photographs_is_refused(cameras, tmp_path):
    (tmp_path / "whole" / "images").mkdir(parents=True)
    for seed in range(3):
        photograph = Image.fromarray(whole_field(seed)[0])
        photograph.save(tmp_path / "whole" / "images" / f"{seed}.png")
    target, source = [f"folder:{tmp_path / 'whole'}"], f"folder:{cameras / 'a'}"
    with pytest.raises(InputError, match="crops around the disc. Got: whole photographs. Give"):
        adapt(target, tmp_path / "out", CPU, source=source)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("seed=3", "Expected --seed in place of seed=…. Got: seed=3"),
        ("data.target=folder:x", "Expected --target in place of data.target=…"),
        ("data={source: x}", "Expected --source in place of data.source=…. Got: .* below data one"),
        ("stepz=3", "stepz"),
    ],
)
def test_a_wrong_override_is_refused_before_anything_is_written(text, message, cameras, tmp_path):
    target, source = [str(cameras / "b" / "images")], f"folder:{cameras / 'a'}"
    with pytest.raises(InputError, match=message):
        adapt(target, tmp_path / "out", CPU, source=source, overrides=(text,))
    assert not (tmp_path / "out").exists()


def test_rendered_eyes_take_the_place_of_a_source(cameras, tmp_path, monkeypatch):
    monkeypatch.setenv("FUNDUS_UDA_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(plan, "RENDERED_EYES", 6)
    out = tmp_path / "out"
    stages = adapt([str(cameras / "b" / "images")], out, CPU, overrides=TINY)
    assert stages["stage"].tolist()[0] == "source"
    settings = load_checkpoint(out / "stages" / "1_source" / "last.pt").settings
    assert settings["data"]["source"] == "rendered:6@64"
    assert len(list((tmp_path / "cache").rglob("*.jpg"))) == 6


@pytest.mark.parametrize("left_out", [True, False])
def test_they_go_with_the_network_that_comes_along(
    left_out, seeing_run, cameras, tmp_path, monkeypatch
):
    package = tmp_path / "site-packages" / "rendered.safetensors"
    package.parent.mkdir()
    export(seeing_run, "safetensors", package)
    monkeypatch.setenv("FUNDUS_UDA_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(plan, "RENDERED_EYES", 6)
    monkeypatch.setattr(weights, "RENDERED", package)
    monkeypatch.setattr(recipe, "reason_to_reject", lambda *_: "No rise." * left_out)
    stages = adapt([str(cameras / "b" / "images")], tmp_path / "out", CPU, overrides=TINY[1:])
    assert stages["title"].tolist()[0] == "The network that comes with the program"
    assert stages["stage"].tolist()[:2] == ["model", "asa"]
    settings = load_checkpoint(tmp_path / "out" / "stages" / "2_asa" / "last.pt").settings
    assert settings["data"]["source"] == "rendered:6@64"

    # The package may be upgraded, and the folder moved.
    package.unlink()
    out = (tmp_path / "out").rename(tmp_path / "moved")
    first = out / "stages" / "model.safetensors"
    assert checkpoint_file(out) == (
        first if left_out else out / "stages" / "3_mean_teacher" / "last.pt"
    )
    assert first_network(out) == (None if left_out else first)
    assert load_model(first, CPU).settings.data.size == 64


def test_photographs_without_a_disc(cameras, tmp_path):
    dark = tmp_path / "dark"
    dark.mkdir()
    for number in range(3):
        Image.new("RGB", (400, 300)).save(dark / f"{number}.png")
    with pytest.raises(InputError, match="3 photographs, none with one"):
        adapt([str(dark)], tmp_path / "out", CPU, source=f"folder:{cameras / 'a'}")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("target", ["study/target", "other"])
def test_what_no_adaptation_to_this_target_wrote_is_left_alone(target, adapted, cameras, tmp_path):
    """Photographs in a folder of a name that adaptations use; the folder of another adaptation."""
    photographs = tmp_path / target
    photographs.mkdir(parents=True)
    (photographs / "eye.png").write_bytes(b"precious")
    out = tmp_path / "study" if target == "study/target" else adapted[0]
    before, source = sorted(out.rglob("*")), f"folder:{cameras / 'a'}"
    with pytest.raises(InputError, match="adaptation to the same --target"):
        adapt([str(photographs)], out, CPU, source=source, continue_run=True)
    assert sorted(out.rglob("*")) == before
    assert (photographs / "eye.png").read_bytes() == b"precious"


def test_names_of_a_dataset_cannot_be_hashed(cameras, tmp_path):
    target = [f"folder:{cameras / 'b'}"]
    with pytest.raises(InputError, match="--key-file with photographs alone"):
        adapt(target, tmp_path / "out", CPU, source="folder:a", key=b"0123456789abcdef")
    assert not (tmp_path / "out").exists()


def test_a_wrong_target_can_be_mended(cameras, tmp_path):
    source = f"folder:{cameras / 'a'}"
    for _ in range(2):  # the folder is as new the second time
        with pytest.raises(InputError, match="Expected an image, a folder or a CSV"):
            adapt([str(tmp_path / "nowhere")], tmp_path / "out", CPU, source=source)


def test_the_report_scores_by_the_annotation_of_the_stages(adapted, cameras, tmp_path, monkeypatch):
    files = tmp_path / "drishti" / "Drishti-GS1_files" / "Test"
    (files / "Images").mkdir(parents=True)
    for file in (cameras / "b" / "images").iterdir():
        shutil.copy(file, files / "Images")
        classes = np.asarray(Image.open(cameras / "b" / "masks" / f"{file.stem}.png"))
        maps = files / "Test_GT" / file.stem / "SoftMap"
        maps.mkdir(parents=True)
        for name, agreed in (("OD", classes > 0), ("cup", classes > 1)):
            disputed = np.where(classes > 0, 64, 0)  # by one of four experts
            soft = np.where(agreed, 255, disputed).astype(np.uint8)
            Image.fromarray(soft).save(maps / f"{file.stem}_{name}segSoftmap.png")
    target, steps = [f"drishti-gs:{tmp_path / 'drishti'}#test"], TINY[1:]
    overrides = (*steps, "data.target_annotation=any")
    monkeypatch.setattr(recipe, "outline_target", lambda *arguments: outlined.append(arguments))
    outlined: list[tuple] = []
    model = adapted[0] / "stages" / "1_source"
    adapt(target, tmp_path / "out", CPU, model=model, overrides=overrides)
    reference = outlined[0][4]
    assert len(reference) == 6
    for sample in reference:  # in which one expert took the whole disc for cup
        assert set(read_sample(sample)["label"].unique().tolist()) == {0, 2}


def test_a_first_network_that_is_gone_is_told(tmp_path):
    run = tmp_path / "stages" / "3_mean_teacher"
    run.mkdir(parents=True)
    (run / "config.yaml").write_text(f"start: {tmp_path / 'gone'}\n")
    with pytest.raises(InputError, match="started at .*gone. Got: nothing. Name it, .* --before"):
        first_network(tmp_path)


def test_photographs_to_outline_are_those_of_an_adaptation(adapted, tmp_path):
    out, _ = adapted
    assert photographs_of(out) == out / "target" / "images"
    assert first_network(out) == out / "stages" / "1_source"
    with pytest.raises(InputError, match="photographs behind MODEL, or a folder that `adapt`"):
        photographs_of(tmp_path)
