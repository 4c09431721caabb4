"""The paper's tables on tiny streets."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
import yaml
from PIL import Image

from fundus_uda.config.read import override, shipped_experiments
from fundus_uda.experiments import reproduce as reproduction
from fundus_uda.experiments.reproduce import reproduce, run_settings
from fundus_uda.experiments.tables import Quoted
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
        "affinity.stride=1",
        *("batch_size=2", "steps=1", "snapshot_every=1", "adaptation.teacher.confidence=0"),
    )


def test_translation_and_self_training_run_in_table_3a(root, tmp_path, small_translation):
    rows = ("asa_it_st", "oracle")
    written = reproduce(
        ROADSCENE, "table3a", tmp_path, CPU, 1, "cpu", tiny(root), lambda _: None, rows
    )
    last = written[written["checkpoint"] == "last"]
    assert last["row"].tolist() == ["source", "asa_it", "asa_it_st", "oracle"]
    for score in ("miou", "miou_13"):
        assert written[score].between(0, 100).all()
    assert last["paper"].tolist()[1] == "45.6 % mIoU (GTA5)"
    header = (tmp_path / "table3a.md").read_text().splitlines()[0]
    assert header == "| Method | Checkpoint | Seeds | mIoU* | mIoU | Gap closed | Paper |"
    assert Image.open(tmp_path / "table3a.png").width > 500
    translated = RoadSettings.model_validate(settings_of(tmp_path / "asa_it-seed0"))
    of_cycada = tmp_path / "translated-cycada-seed0"
    assert translated.data.source == f"cityscapes:{of_cycada}#train"
    assert translated.adaptation.adversarial_weight == pytest.approx(0.001)  # a tenth
    assert translated.start == str(tmp_path / "source-seed0")
    assert settings_of(of_cycada)["model"] == str(tmp_path / "source-seed0")

    def never(*_):
        raise AssertionError("a translated source was translated again")

    again = replace(ROADSCENE, translate=never)
    reproduce(again, "table3a", tmp_path, CPU, 1, "cpu", tiny(root), lambda _: None, rows)


def test_a_fourier_translated_source_is_trained_on(root, tmp_path):
    """Without a network: FDA needs none."""
    given = (*tiny(root), "start=null")
    written = reproduce(
        ROADSCENE, "table3a", tmp_path, CPU, 1, "cpu", given, lambda _: None, ("asa_fda",)
    )
    assert written["row"].unique().tolist() == ["asa_fda"]
    folder = tmp_path / "translated-fourier-seed0"
    assert len(list((folder / "leftImg8bit" / "train").rglob("*.png"))) == 4
    trained = settings_of(tmp_path / "asa_fda-seed0")
    assert trained["data"]["source"] == f"cityscapes:{folder}#train"


def test_streets_are_translated_in_their_own_profile():
    assert ROADSCENE.translation_profile("cpu") == "cpu"
    assert ROADSCENE.translation_profile("paper") == "streets"


def test_the_oracle_costs_what_images_of_the_targets_size_cost(root):
    gflops = {}
    for method in ("source", "oracle"):
        given = [*tiny(root), "data.source_size=[64,128]"]
        gflops[method] = ROADSCENE.step_cost(ROADSCENE.read_settings(f"cpu/{method}", given)).gflops
    assert gflops["source"] == pytest.approx(2 * gflops["oracle"], rel=0.02)


def settings_of(run: Path):
    return yaml.safe_load((run / "config.yaml").read_text())


@pytest.mark.parametrize(
    ("profile", "table"),
    [(profile, table) for profile in ("cpu", "paper") for table in ROADSCENE.tables(profile)],
)
def test_every_row_has_settings_and_a_start_above_it(profile, table, monkeypatch):
    monkeypatch.setenv("FUNDUS_UDA_DATA", "data")
    rows = ROADSCENE.tables(profile)[table]
    for place, row in enumerate(rows.values()):
        if isinstance(row, Quoted):
            continue
        assert row.experiment in shipped_experiments("roadscene")
        assert row.experiment.startswith("cpu/") == (profile == "cpu")
        read = ROADSCENE.read_settings(row.experiment, list(row.overrides))
        assert row.start is None or row.start in list(rows)[:place]
        # what labels or goes on needs a network, and the table has the run that it comes from
        assert read.start is None or row.start is not None


def test_the_paper_profile_of_self_training_is_that_of_its_shipped_settings(monkeypatch, tmp_path):
    monkeypatch.setenv("FUNDUS_UDA_DATA", "data")
    shipped = read_settings("gta5/resnet101_asa_st", [])
    row = ROADSCENE.tables("paper")["table3a"]["asa_st"]
    ours = run_settings(ROADSCENE, row, 0, tmp_path, ())
    assert ours == shipped.model_copy(update={"start": str(tmp_path / "asa-seed0")})
    assert ours.start_checkpoint == "selected"
