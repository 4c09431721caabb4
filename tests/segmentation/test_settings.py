import pytest

from fundus_uda.affinity import discriminator
from fundus_uda.config.read import shipped_experiments
from fundus_uda.engine.methods import METHODS, SMALLEST_MAP
from fundus_uda.errors import InputError
from fundus_uda.segmentation.settings import read_settings


@pytest.mark.parametrize("name", shipped_experiments("fundus"))
def test_every_shipped_experiment_loads(name, monkeypatch):
    monkeypatch.setenv("FUNDUS_UDA_DATA", "/data")
    settings = read_settings(name, [])
    assert settings.steps % settings.snapshot_every == 0


def test_each_method_has_the_papers_experiment_and_a_cpu_profile(monkeypatch):
    monkeypatch.setenv("FUNDUS_UDA_DATA", "/data")
    for method in METHODS:
        name = {"self_training": "asa_st"}.get(method, method)
        paper, cpu = (read_settings(f"{profile}/{name}", []) for profile in ("paper", "cpu"))
        assert paper.method == cpu.method == method
        assert (paper.data.size, cpu.data.size) == (512, 256)


def test_the_papers_settings_are_those_of_section_4b(monkeypatch):
    monkeypatch.setenv("FUNDUS_UDA_DATA", "/data")
    settings = read_settings("paper/asa", [])
    assert settings.segmenter.lr == 2.5e-4
    assert (settings.segmenter.momentum, settings.segmenter.weight_decay) == (0.9, 5e-4)
    assert (settings.discriminator.lr, settings.discriminator.betas) == (1e-4, (0.9, 0.99))
    assert settings.poly_power == 0.9
    assert settings.adaptation.adversarial_weight == 0.001
    assert settings.adaptation.regulariser_weight == 0.001
    assert settings.affinity.neighbors == 8
    assert settings.data.source == "refuge:/data/refuge#train"
    assert settings.data.test == "rim-one-r3:/data/rim_one_r3#test"


def test_an_unknown_name_is_answered_with_the_nearest_known_one():
    message = r"shipped experiment\. Got: 'paper/mean_teecher'\. Did you mean paper/mean_teacher\?"
    with pytest.raises(InputError, match=message):
        read_settings("paper/mean_teecher", [])


def test_a_batch_of_one_cannot_be_normalised(monkeypatch):
    monkeypatch.setenv("FUNDUS_UDA_DATA", "/data")
    with pytest.raises(InputError, match="batch_size must be at least 2, as DeepLabv3"):
        read_settings("paper/asa", ["batch_size=1"])


def test_an_auxiliary_head_is_refused(monkeypatch):
    monkeypatch.setenv("FUNDUS_UDA_DATA", "/data")
    auxiliary = ["segmentation_weight=0.1", "adversarial_weight=0.1"]
    with pytest.raises(InputError, match="settings: .*auxiliary head, which DeepLabv3.* lacks"):
        read_settings("paper/asa", [f"adaptation.auxiliary.{line}" for line in auxiliary])


def test_a_size_that_the_network_cannot_take(monkeypatch):
    monkeypatch.setenv("FUNDUS_UDA_DATA", "/data")
    with pytest.raises(InputError, match="data.size: Input should be a multiple of 16. Got: 100"):
        read_settings("cpu/asa", ["data.size=100"])


def test_an_output_stride_that_the_network_cannot_take(monkeypatch):
    monkeypatch.setenv("FUNDUS_UDA_DATA", "/data")
    with pytest.raises(InputError, match="network.output_stride: Input should be 8 or 16. Got: 7"):
        read_settings("cpu/asa", ["network.output_stride=7"])


def test_a_method_without_its_source_is_told_in_one_line(monkeypatch):
    monkeypatch.setenv("FUNDUS_UDA_DATA", "/data")
    with pytest.raises(InputError) as caught:
        read_settings("cpu/asa", ["method=asa", "data.source=null"])
    _, problem = str(caught.value).splitlines()
    assert problem.strip() == "settings: method asa needs data.source: name a labelled set."


def test_the_cpu_profile_goes_on_from_source_only_and_the_papers_from_imagenet(monkeypatch):
    monkeypatch.setenv("FUNDUS_UDA_DATA", "/data")
    for method in ("adaptsegnet", "advent", "minent", "maxsquare", "asc", "asa", "asa_asc"):
        cpu, paper = (read_settings(f"{profile}/{method}", []) for profile in ("cpu", "paper"))
        assert (cpu.start, cpu.start_checkpoint, cpu.steps) == ("runs/source", "last", 100)
        assert (paper.start, paper.steps) == (None, 25_000)
    of_asa = [read_settings(f"{profile}/asa_st", []) for profile in ("cpu", "paper")]
    assert [each.start for each in of_asa] == ["runs/asa"] * 2
    assert [each.start_checkpoint for each in of_asa] == ["last", "selected"]


@pytest.mark.parametrize("rates", ["[6,12]", "[0,12,18]", "6"])
def test_atrous_rates_are_three_and_positive(rates, monkeypatch):
    monkeypatch.setenv("FUNDUS_UDA_DATA", "/data")
    assert read_settings("cpu/source", []).network.atrous_rates == (3, 6, 9)
    with pytest.raises(InputError, match="network.atrous_rates"):
        read_settings("cpu/source", [f"network.atrous_rates={rates}"])


def test_a_checkpoint_to_start_from_is_one_of_two(monkeypatch):
    monkeypatch.setenv("FUNDUS_UDA_DATA", "/data")
    message = "start_checkpoint: Input should be 'last' or 'selected'. Got: 'best'"
    with pytest.raises(InputError, match=message):
        read_settings("cpu/asa", ["start_checkpoint=best"])


@pytest.mark.parametrize(("size", "stride"), [(64, 4), (112, 4)])
def test_a_map_too_small_for_the_discriminator_is_refused_before_anything_is_read(
    size, stride, monkeypatch
):
    monkeypatch.setenv("FUNDUS_UDA_DATA", "/data")
    with pytest.raises(InputError, match="data.size must be at least 128 with affinity.stride=4"):
        read_settings("cpu/asa", [f"data.size={size}", f"affinity.stride={stride}"])
    read_settings("cpu/source", [f"data.size={size}"])


@pytest.mark.parametrize("given", [
    "batch_size=1099511627776", "data.size=100000", "segmenter.head_lr_factor=1e300",
    "ignore_label=0", "workers=1000", "segmenter.weight_decay=.inf", "steps=100000000000",
])  # fmt: skip
def test_what_no_machine_could_train_with_is_refused(given, monkeypatch):
    monkeypatch.setenv("FUNDUS_UDA_DATA", "/data")
    with pytest.raises(InputError, match=given.partition("=")[0].rpartition(".")[2]):
        read_settings("cpu/asa", [given])


def test_the_smallest_map_is_the_discriminators():
    assert SMALLEST_MAP == discriminator.SMALLEST_MAP
