"""What every format has in common: nothing half written, nothing of places, clear refusals."""

import zipfile
from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner

import fundus_uda
from cli.main import app
from fundus_uda.engine.model_path import EXPORTED
from fundus_uda.errors import InputError
from fundus_uda.export import formats
from fundus_uda.export.formats import FORMATS, export
from tests.conftest import SECRETS
from tests.segmentation.test_model import write_model

IN_FOLDER = {
    "huggingface": {"README.md", "config.json", "model.safetensors"},
    "monai-bundle": {
        "LICENSE",
        "configs/metadata.json",
        "configs/inference.yaml",
        "configs/train.yaml",
        "docs/README.md",
        "docs/data_license.txt",
        "models/model.pt",
        "models/model.ts",
    },
}


def output(tmp_path, name):
    return tmp_path / f"out{FORMATS[name].suffix}"


def bytes_in(path):
    """The bytes of a file, and of the files in it if it is an archive."""
    yield path.read_bytes()
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            for name in archive.namelist():
                yield name.encode()
                yield archive.read(name)


@pytest.mark.parametrize("name", FORMATS)
def test_what_leaves_names_no_place_and_is_all_that_is_written(name, exported, seeing_run):
    out, told = exported(name)
    files = [path for path in out.parent.rglob("*") if path.is_file()]
    inside = {path.relative_to(out).as_posix() for path in files if path != out}
    assert inside - {".written"} == IN_FOLDER.get(name, set())
    code = [str(Path(module.__file__).parents[1]) for module in (fundus_uda, torch)]
    words = [word.encode() for word in (*SECRETS, str(seeing_run), str(out), *code)]
    assert b"mueller" in (seeing_run / "config.yaml").read_bytes()
    for path in files:
        for content in (told.encode(), *bytes_in(path)):
            assert not [word for word in words if word in content], path
            assert b"/home/" not in content, path


@pytest.mark.parametrize("name", ["safetensors", "huggingface"])
def test_an_occupied_output_is_refused_and_replaced_on_request(name, seeing_run, tmp_path):
    out = output(tmp_path, name)
    export(seeing_run, name, out)
    with pytest.raises(InputError, match="Expected a new"):
        export(seeing_run, name, out)
    export(seeing_run, name, out, overwrite=True)
    if out.is_dir():
        (out / "README.md").write_text("mine")
        with pytest.raises(InputError, match="README.md, which was added or changed since"):
            export(seeing_run, name, out, overwrite=True)
        assert (out / "README.md").read_text() == "mine"


def test_a_file_has_the_suffix_of_its_format(seeing_run, tmp_path):
    with pytest.raises(InputError, match="--out that ends in .onnx. Got: .*model.pt"):
        export(seeing_run, "onnx", tmp_path / "model.pt")


@pytest.mark.parametrize("overwrite", [False, True])
def test_a_failure_leaves_nothing_half_written(overwrite, seeing_run, tmp_path, monkeypatch):
    def stops(model, about, out):
        out.mkdir()
        (out / "half").write_text("half")
        raise KeyboardInterrupt

    out = tmp_path / "out"
    if overwrite:
        export(seeing_run, "huggingface", out)
    before = {path: path.stat().st_mtime_ns for path in out.rglob("*")}
    monkeypatch.setitem(formats.FORMATS, "huggingface", formats.Format(stops))
    with pytest.raises(KeyboardInterrupt):
        export(seeing_run, "huggingface", out, overwrite=overwrite)
    assert {path: path.stat().st_mtime_ns for path in out.rglob("*")} == before
    assert list(tmp_path.iterdir()) == ([out] if overwrite else [])


def test_damaged_and_foreign_runs_are_refused(seeing_run, cameras, tmp_path):
    damaged = tmp_path / "damaged.pt"
    stored = bytearray((seeing_run / "last.pt").read_bytes())
    stored[len(stored) // 2] ^= 1
    damaged.write_bytes(stored)
    with pytest.raises(InputError, match="damaged.pt. Got|damaged.pt to match"):
        export(damaged, "safetensors", tmp_path / "out.safetensors")
    write_model(tmp_path / "streets.pt", cameras, classes=19, says_classes=19)
    with pytest.raises(InputError, match="model of 3 classes .* Got: 19 classes"):
        export(tmp_path / "streets.pt", "safetensors", tmp_path / "out.safetensors")
    assert not (tmp_path / "out.safetensors").exists()


def test_the_command_says_what_it_wrote(seeing_run, tmp_path):
    out = tmp_path / "model.safetensors"
    arguments = ["export", str(seeing_run), "--format", "safetensors", "--out", str(out)]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0, result.output
    assert result.output.startswith(f"Wrote {out}. Its metadata hold settings and card")


def test_the_command_offers_the_formats_there_are():
    result = CliRunner().invoke(app, ["export", "--help"], env={"COLUMNS": "200"})
    assert all(name in result.output for name in FORMATS)


def test_a_files_suffix_names_its_format():
    """By which the message about a missing file says how to write it."""
    assert {*EXPORTED} == {form.suffix for form in FORMATS.values() if form.suffix}
    assert all(FORMATS[suffix[1:]].suffix == suffix for suffix in EXPORTED)
