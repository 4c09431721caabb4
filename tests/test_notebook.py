"""The notebook runs from its first cell to its last, on rendered photographs."""

from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

import fundus_uda

NOTEBOOK = Path(fundus_uda.__file__).parent / "first_steps.ipynb"


@pytest.mark.slow
def test_the_notebook_runs(tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(NOTEBOOK.parent.parent))
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    nbformat.validate(notebook)
    where = {"metadata": {"path": str(tmp_path)}}
    client = NotebookClient(notebook, timeout=600, startup_timeout=300, resources=where)
    ran = client.execute()
    shown = [cell.outputs for cell in ran.cells if cell.cell_type == "code"]
    assert all(any("data" in output for output in outputs) for outputs in shown)
    pictures = [out for outputs in shown for out in outputs if "image/png" in out.get("data", {})]
    assert len(pictures) == 1
    assert (tmp_path / "adapted" / "predictions" / "report.html").is_file()


def test_the_notebook_is_kept_without_output():
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    assert all(not cell.outputs for cell in notebook.cells if cell.cell_type == "code")
