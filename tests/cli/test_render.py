import pytest
from typer.testing import CliRunner

from cli.main import app
from fundus_uda.data.datasets import load_samples
from fundus_uda.errors import InputError


def render(*arguments):
    result = CliRunner().invoke(app, ["render", *map(str, arguments)])
    if isinstance(result.exception, Exception):
        raise result.exception
    return result


def test_a_labelled_dataset_is_written(tmp_path):
    out = tmp_path / "eyes"
    options = ["--size", 64, "--ratio", "0.3:0.5", "--without", "lesions", "--whole"]
    result = render("--out", out, "--count", 2, *options)
    assert f"Train with folder:{out}" in result.stdout
    assert len(load_samples(f"folder:{out}")) == 2


def test_rendered_eyes_are_replaced_on_request_and_photographs_of_others_are_not(tmp_path):
    out = tmp_path / "eyes"
    render("--out", out, "--count", 2, "--size", 64)
    with pytest.raises(InputError, match="add --overwrite"):
        render("--out", out, "--count", 1, "--size", 64)
    render("--out", out, "--count", 1, "--size", 64, "--overwrite")
    assert len(load_samples(f"folder:{out}")) == 1
    (out / ".written").unlink()  # now it is like anybody's folder of photographs and masks
    with pytest.raises(InputError, match="no command says that it wrote"):
        render("--out", out, "--count", 2, "--size", 64, "--overwrite")
    assert len(load_samples(f"folder:{out}")) == 1


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--count", 0], "Got: 0"),
        (["--count", 1, "--size", 32], "Got: 32"),
        (["--count", 1, "--ratio", "0.5:0.99"], "0.5:0.99"),
        (["--count", 1, "--ratio", "half"], "Got: half"),
    ],
)
def test_impossible_wishes_are_refused(tmp_path, arguments, told):
    with pytest.raises(InputError, match=told):
        render("--out", tmp_path / "eyes", *arguments)
    assert not (tmp_path / "eyes").exists()
