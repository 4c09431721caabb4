"""The settings and tables of the paper's profile are those of the paper."""

import re

import pytest

from fundus_uda.application import FUNDUS
from fundus_uda.config.read import config_folder, shipped_experiments
from fundus_uda.experiments.plans import list_costs
from fundus_uda.experiments.reproduce import run_settings
from fundus_uda.experiments.tables import Quoted, Row
from fundus_uda.segmentation.settings import read_settings as read_fundus
from roadscene.application import ROADSCENE
from roadscene.settings import read_settings as read_streets

PAPER = [("fundus", name) for name in shipped_experiments("fundus") if name.startswith("paper/")]
STREETS = [("roadscene", n) for n in shipped_experiments("roadscene") if not n.startswith("cpu/")]


@pytest.fixture(autouse=True)
def _data_folder(monkeypatch):
    monkeypatch.setenv("FUNDUS_UDA_DATA", "/data")


def read(group, name):
    return (read_fundus if group == "fundus" else read_streets)(name, [])


@pytest.mark.parametrize(("group", "name"), [*PAPER, *STREETS])
def test_every_experiment_has_the_values_of_section_4b(group, name):
    settings = read(group, name)
    segmenter, discriminator = settings.segmenter, settings.discriminator
    assert (segmenter.lr, segmenter.momentum, segmenter.weight_decay) == (2.5e-4, 0.9, 5e-4)
    assert (discriminator.lr, discriminator.betas) == (1e-4, (0.9, 0.99))
    assert settings.poly_power == 0.9
    assert settings.affinity.neighbors == 8
    weights = settings.adaptation
    assert weights.adversarial_weight == (1e-4 if name.endswith("asa_it") else 1e-3)
    assert weights.regulariser_weight == (
        0.1 if "maxsquare" in name and group != "fundus" else 1e-3
    )
    if group == "fundus":
        assert settings.data.size == 512
        assert settings.data.source.startswith("refuge:")
        assert settings.data.target.startswith("rim-one-r3:")
    else:
        benchmark = name.split("/")[0]
        sizes = {"gta5": (720, 1280), "synthia": (760, 1280), "cross_city": (512, 1024)}
        assert settings.data.source_size == sizes[benchmark]
        assert settings.data.target_size == (512, 1024)
        assert settings.data.classes == {"gta5": 19, "synthia": 16, "cross_city": 13}[benchmark]


def test_pseudo_labels_come_from_the_checkpoint_that_the_paper_would_report():
    for group, name in [*PAPER, *STREETS]:
        settings = read(group, name)
        if settings.method == "self_training":
            assert settings.start_checkpoint == "selected", name
            assert settings.adaptation.teacher.confidence == 0.9


@pytest.mark.parametrize(
    ("application", "table", "runs"),
    [
        (ROADSCENE, "table1", 12),
        (ROADSCENE, "table2", 12),
        (ROADSCENE, "table6", 16),
        (ROADSCENE, "table3a", 8),
        (ROADSCENE, "table3b", 8),
        (ROADSCENE, "table4", 12),
        (ROADSCENE, "table5", 7),
        (FUNDUS, "table7", 10),
    ],
)
def test_a_row_trains_what_its_experiment_says(tmp_path, application, table, runs):
    rows = application.tables("paper")[table]
    to_run = {name: row for name, row in rows.items() if isinstance(row, Row)}
    assert len(to_run) == runs
    for name, row in to_run.items():
        if row.overrides or row.weight or row.translated:
            continue
        ours = run_settings(application, row, 0, tmp_path, ()).model_dump(mode="json")
        theirs = application.read_settings(row.experiment, []).model_dump(mode="json")
        if theirs["start"] is not None:
            assert ours.pop("start") == str(tmp_path / f"{row.start}-seed0"), name
            theirs.pop("start")
        assert ours == theirs, name


def test_the_paper_starts_from_imagenet_but_for_self_training():
    for row in ROADSCENE.tables("paper")["table1"].values():
        if isinstance(row, Row):
            assert ROADSCENE.read_settings(row.experiment, []).start is None


def test_rows_of_others_are_quoted():
    quoted = [r for r in ROADSCENE.tables("paper")["table1"].values() if isinstance(r, Quoted)]
    assert len(quoted) == 4
    assert [q.paper.scores["miou"] for q in quoted] == [27.1, 34.8, 34.2, 42.6]


def test_table_3b_has_the_means_of_13_classes():
    rows = ROADSCENE.tables("paper")["table3b"]
    for row in rows.values():
        if row.paper is not None:
            assert set(row.paper.scores) == {"miou_13"}
    assert rows["asa"].paper.scores["miou_13"] == 49.3  # as in Table II


@pytest.mark.slow
def test_costs_are_within_6_percent_of_table_5():
    costs = list_costs(ROADSCENE, "table5", "paper").set_index("row")
    of_paper = costs[costs["gflops_of_the_paper"].notna()]
    assert list(of_paper.index) == ["source", "adaptsegnet", "asc_4", "asc_8", "asa_4", "asa_8"]
    assert of_paper["difference"].abs().max() <= 6
    # Multiply-adds by hand, of the first convolution alone: 64 x 3 x 7 x 7 at half the size.
    assert of_paper.loc["source", "gflops_counted_alike"] > 64 * 3 * 49 * 360 * 640 / 1e9
    # A method that adapts sees the target's 512x1024 pixels, too.
    ratio = (
        of_paper.loc["asc_8", "gflops_counted_alike"]
        / of_paper.loc["source", "gflops_counted_alike"]
    )
    assert ratio == pytest.approx(1 + 512 * 1024 / (720 * 1280), abs=0.01)


def test_the_comments_of_the_settings_files_are_the_tables_values():
    text = (config_folder() / "roadscene" / "gta5.yaml").read_text(encoding="utf-8")
    rows = ROADSCENE.tables("paper")["table1"]
    for name, row in rows.items():
        if isinstance(row, Row):
            (value,) = re.findall(rf"^  {name}:.*?# ([\d.]+)$", text, flags=re.MULTILINE)
            assert float(value) == row.paper.scores["miou"], name
