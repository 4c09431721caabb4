"""A report that two test files read."""

import shutil

import pytest
from PIL import Image

from fundus_uda.clinic.predict import predict
from fundus_uda.clinic.report.page import write_report
from fundus_uda.data.datasets import load_samples
from fundus_uda.data.synthetic import write_camera
from tests.fixtures.fields import retina
from tests.fixtures.seeing import brightness_model


@pytest.fixture(scope="session")
def run(cameras, tmp_path_factory):
    """A folder with `after` and `before`, predictions of four crops and a retina, and `data`."""
    root = tmp_path_factory.mktemp("report")
    write_camera(root / "data", "a", count=4, size=96, first_seed=0)
    (root / "paths").mkdir()
    for path in (root / "data" / "images").iterdir():
        shutil.copy(path, root / "paths")
    Image.fromarray(retina(1)).save(root / "paths" / "R&D <b>.png")
    model = brightness_model(cameras)
    predict(model, [root / "paths"], root / "before")
    predict(model, [root / "paths"], root / "after", before=root / "before")
    return root


@pytest.fixture(scope="session")
def page(run):
    """The report of `run` with the model before and the reference."""
    samples = load_samples(f"folder:{run / 'data'}")
    return write_report(run / "after", run / "before", samples, run / "full" / "report.html")
