"""What `import fundus_uda` offers."""

import ast
import socket
from pathlib import Path

import pytest
import torch

import fundus_uda
import roadscene
from fundus_uda.engine.checkpoint import save_checkpoint
from fundus_uda.segmentation.training import prepare
from tests.fixtures.small_run import small_settings


def test_its_functions_are_at_hand():
    from fundus_uda import adapt, evaluate, load_model, load_samples, predict

    assert all(map(callable, (adapt, evaluate, load_model, load_samples, predict)))
    assert {"adapt", "load_model", "predict"} <= set(dir(fundus_uda))
    with pytest.raises(AttributeError, match="no attribute 'adopt'"):
        fundus_uda.adopt  # noqa: B018


def test_a_model_is_loaded_by_texts(cameras, tmp_path):
    settings = small_settings(cameras, "method=source")
    run = prepare(settings, torch.device("cpu"))
    save_checkpoint(tmp_path / "last.pt", run.state, settings, run.data, classes=3)
    model = fundus_uda.load_model(str(tmp_path), "cpu")
    assert model.device == torch.device("cpu")


def test_what_types_are_told_is_what_is_loaded():
    """The names that a type checker sees, and those that `__getattr__` loads, are the same."""
    tree = ast.parse(Path(fundus_uda.__file__).read_text())
    (block,) = [node for node in tree.body if isinstance(node, ast.If)]
    told = {alias.name: node.module for node in block.body for alias in node.names}
    assert told == fundus_uda._FUNCTIONS
    assert set(fundus_uda.__all__) == {*told, "__version__"}


@pytest.mark.parametrize("package", [fundus_uda, roadscene])
def test_the_packages_are_marked_as_typed(package):
    assert (Path(package.__file__).parent / "py.typed").is_file()


def test_nothing_reaches_the_network_here():
    """Neither a test nor an import: see the hook of `tests`."""
    with socket.socket() as reached, pytest.raises(PermissionError, match="need no network"):
        reached.connect(("192.0.2.1", 80))
    with pytest.raises(PermissionError, match="asks for 'example.org'"):
        socket.create_connection(("example.org", 443))
