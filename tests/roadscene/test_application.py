"""The paper's tables on tiny streets."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
import yaml
from PIL import Image

from fundus_uda.config.read import override
from fundus_uda.experiments import reproduce as reproduction
from fundus_uda.experiments.reproduce import reproduce
from roadscene.application import ROADSCENE
from roadscene.settings import RoadSettings, read_settings
from tests.fixtures.tiny_streets import streets

CPU = torch.device("cpu")
SMALL = ["crop=32", "generator.channels=2", "generator.blocks=1", "discriminator_channels=2",
         "steps=1", "snapshot_every=1"]  # fmt: skip


@pytest.fixture(scope="module")
def root(tmp_path_factory) -> Path:
    return streets(tmp_path_factory.mktemp("streets"))


@pytest.fixture
def small_translation(monkeypatch):
    read = reproduction.read_translation_settings

    def smaller(*given):
        return read(*given[:-1], [*given[-1], *SMALL])

    monkeypatch.setattr(reproduction, "read_translation_settings", smaller)


def tiny(root: Path) -> tuple[str, ...]:
    splits = (("source", "source#train"), ("target", "target#train"), ("test", "target#val"))
    return (
        *(override(f"data.{name}", f"cityscapes:{root}/{split}") for name, split in splits),
        *(f"data.{domain}_size=[64,64]" for domain in ("source", "target")),
        *("batch_size=2", "steps=1", "snapshot_every=1", "adaptation.teacher.confidence=0"),
    )


def test_translation_and_self_training_run_in_table_3(root, tmp_path, small_translation):
    rows = ("asa_it_st", "oracle")
    written = reproduce(
        ROADSCENE, "table3", tmp_path, CPU, 1, "cpu", tiny(root), lambda _: None, rows
    )
    assert written["row"].tolist() == ["source", "asa_it", "asa_it_st", "oracle"]
    assert written["miou"].between(0, 100).all()
    assert written["paper"].tolist()[1] == "45.6 % mIoU (GTA5)"
    assert (tmp_path / "table3.md").read_text().startswith("| Method | Seeds | mIoU | Gap closed |")
    assert Image.open(tmp_path / "table3.png").width > 500
    translated = RoadSettings.model_validate(settings_of(tmp_path / "asa_it-seed0"))
    assert translated.data.source == f"cityscapes:{tmp_path / 'translated-seed0'}#train"
    assert translated.adaptation.adversarial_weight == pytest.approx(0.001)  # a tenth

    def never(*_):
        raise AssertionError("a translated source was translated again")

    again = replace(ROADSCENE, translate=never)
    reproduce(again, "table3", tmp_path, CPU, 1, "cpu", tiny(root), lambda _: None, rows)


def test_table_5_counts_what_a_step_costs(root, tmp_path):
    written = reproduce(
        ROADSCENE, "table5", tmp_path, CPU, 1, "cpu", tiny(root), lambda _: None, ("asa_8",)
    )
    source, asa = written["gflops"]
    assert 0 < source < asa


def test_the_oracle_costs_what_images_of_the_targets_size_cost(root):
    gflops = {}
    for method in ("source", "oracle"):
        given = [*tiny(root), "data.source_size=[64,128]"]
        of = ROADSCENE.read_settings(ROADSCENE.in_profile(method, "cpu"), given)
        gflops[method] = ROADSCENE.step_cost(of, CPU)[0]
    assert gflops["source"] == pytest.approx(2 * gflops["oracle"], rel=0.02)


def settings_of(run: Path):
    return yaml.safe_load((run / "config.yaml").read_text())


@pytest.mark.parametrize("table", ROADSCENE.tables)
@pytest.mark.parametrize("profile", ["cpu", "paper"])
def test_every_row_has_settings_in_both_profiles(table, profile, monkeypatch):
    monkeypatch.setenv("FUNDUS_UDA_DATA", "data")
    for row in ROADSCENE.tables[table].values():
        name = ROADSCENE.in_profile(row.experiment, profile)
        read = ROADSCENE.read_settings(name, list(row.overrides))
        assert read.method == row.experiment


def test_the_paper_profile_of_self_training_is_that_of_its_shipped_settings(monkeypatch):
    monkeypatch.setenv("FUNDUS_UDA_DATA", "data")
    shipped = read_settings("gta5/resnet101_asa_st", [])
    name = ROADSCENE.in_profile("self_training", "paper")
    ours = ROADSCENE.read_settings(name, ["start=runs/gta5_asa"])
    assert ours == shipped
