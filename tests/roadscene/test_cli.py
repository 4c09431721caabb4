import subprocess
import sys

import pytest
from typer.testing import CliRunner

from cli.roadscene import app
from fundus_uda.errors import InputError
from tests.fixtures.tiny_streets import ids_of, streets, write_ids, write_image

runner = CliRunner()
BENCHMARKS = {"cpu", "gta5", "synthia", "cross_city"}


def command(*arguments):
    code = "from cli.roadscene import run; run()"
    return subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)], capture_output=True, text=True
    )


def test_help_imports_nothing_heavy():
    code = (
        "import sys; from cli.roadscene import app\n"
        "print([name for name in ('torch', 'monai', 'pandas') if name in sys.modules])"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert result.stdout.strip() == "[]"
    listed = runner.invoke(app, ["--help"])
    assert listed.exit_code == 0
    for name in ("demo", "inspect", "translate", "train", "evaluate", "predict", "compare", "draw"):
        assert name in listed.output


def test_mistakes_end_with_code_2_and_no_traceback(tmp_path):
    data = [f"data.{domain}=cityscapes:/nowhere#train" for domain in ("source", "target", "test")]
    result = command("reproduce", "table3a", "stepz=1", *data, "--out", tmp_path / "out")
    assert result.returncode == 2
    assert "Did you mean steps?" in result.stderr
    (tmp_path / "last.pt").touch()
    result = command("evaluate", tmp_path, "cityscapes:/nowhere")
    assert result.returncode == 2
    assert "Expected cityscapes data at /nowhere" in result.stderr
    assert "Traceback" not in result.stderr


def test_inspect_lists_problems_and_ends_with_code_2(tmp_path):
    write_image(tmp_path / "images" / "1.png")
    write_ids(tmp_path / "labels" / "1.png", ids_of([7, 26]))
    good = runner.invoke(app, ["inspect", f"gta5:{tmp_path}"])
    assert good.exit_code == 0
    assert "1 images, 1 with a readable label" in good.output
    assert "road: 50.00 %" in good.output
    write_ids(tmp_path / "labels" / "1.png", ids_of([77]))
    bad = runner.invoke(app, ["inspect", f"gta5:{tmp_path}"])
    assert bad.exit_code == 2
    assert "1 problem(s):" in bad.output


def test_train_evaluate_predict_draw_and_compare(tmp_path):
    root = streets(tmp_path)
    run, target = tmp_path / "run", root / "target"
    overrides = [
        "start=null",
        "network.weights=random",
        "steps=1",
        "batch_size=2",
        "data.source_size=[64, 64]",
        "data.target_size=[64, 64]",
        f"data.source=cityscapes:{root / 'source'}#train",
        f"data.target=cityscapes:{target}#train",
        f"data.test=cityscapes:{target}#val",
    ]
    arguments = ["train", "asc", *overrides, "--out", str(run), "--device", "cpu"]
    trained = runner.invoke(app, arguments)
    assert trained.exit_code == 0, trained.output
    assert "| ASC | last | 0 | 1 |" in trained.output

    out = tmp_path / "evaluation"
    uri = f"cityscapes:{target}#val"
    scored = runner.invoke(app, ["evaluate", str(run), uri, "--out", str(out)])
    assert scored.exit_code == 0, scored.output
    assert {path.name for path in out.iterdir()} == {
        "iou.csv", "summary.json", "colour", "export", ".written"
    }  # fmt: skip

    images = target / "leftImg8bit" / "val" / "dusk"
    predicted = runner.invoke(
        app, ["predict", str(run), str(images), "--out", str(tmp_path / "predictions")]
    )
    assert predicted.exit_code == 0, predicted.output
    assert "label_ids and colour of 2 images" in predicted.output

    (images / "broken.png").write_bytes(b"nothing")
    in_part = runner.invoke(
        app, ["predict", str(run), str(images), "--out", str(tmp_path / "in_part")]
    )
    assert in_part.exit_code == 3, in_part.output
    assert "label_ids and colour of 2 images" in in_part.output
    assert "broken: Expected a readable image" in in_part.output
    (images / "broken.png").unlink()

    picture = tmp_path / "picture.png"
    arguments = ["draw", uri, str(run), "--out", str(picture), "--affinity", "diagonal"]
    drawn = runner.invoke(app, arguments)
    assert drawn.exit_code == 0, drawn.output
    assert f"Wrote {picture}" in drawn.output

    table = tmp_path / "table.md"
    compared = runner.invoke(app, ["compare", str(run), str(out), "--out", str(table)])
    assert compared.exit_code == 0, compared.output
    assert table.read_text().count("| ASC |") == 2


def test_published_checkpoint_is_read_with_settings(tmp_path, monkeypatch):
    import torch

    from roadscene.deeplab_v2 import DeepLabV2VGG16

    monkeypatch.setenv("FUNDUS_UDA_DATA", str(tmp_path))
    root = streets(tmp_path)
    weights = {f"module.{k}": v for k, v in DeepLabV2VGG16(19).state_dict().items()}
    torch.save({"state_dict": weights}, tmp_path / "published.pth")
    arguments = ["evaluate", str(tmp_path / "published.pth"), f"cityscapes:{root / 'target'}#val",
                 "--out", str(tmp_path / "out"), "--published", "gta5/vgg16_asa",
                 "--set", "preset=released", "--set", "data.target_size=[64, 64]"]  # fmt: skip
    result = runner.invoke(app, arguments)
    assert result.exit_code == 0, result.output
    assert "published.pth: 38 tensors loaded" in result.output
    sixteen = [*arguments, "--set", "data.classes=16", "--out", str(tmp_path / "new")]
    alone = ["evaluate", "x", "cityscapes:x", "--set", "preset=released"]
    with pytest.raises(InputError, match="--published EXPERIMENT with --set"):
        runner.invoke(app, alone, catch_exceptions=False)
    with pytest.raises(InputError, match="main head of 16 classes"):
        runner.invoke(app, sixteen, catch_exceptions=False)


def test_configs_are_listed():
    rows = runner.invoke(app, ["configs"]).output.splitlines()[2:]
    listed = [row.split("|")[1].strip() for row in rows]
    assert "gta5/resnet101_asa" in listed
    assert all(name.split("/")[0] in BENCHMARKS for name in listed)
