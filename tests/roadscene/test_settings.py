import pytest

from fundus_uda.config.read import config_folder, shipped_experiments
from fundus_uda.errors import InputError
from roadscene.presets import DEEPLAB_V2_PRESETS, PRESETS
from roadscene.settings import DeepLabV2Settings, RoadDeepLabV3PlusSettings, read_settings

SHIPPED = shipped_experiments("roadscene")
METHOD_OF = {
    "demo": "source",
    "source_longer": "source",
    "asa_it": "asa",
    "asa_st": "self_training",
}
"""Method of the experiments of the CPU profile that are not named after theirs."""


@pytest.fixture(autouse=True)
def _data_folder(monkeypatch):
    monkeypatch.setenv("FUNDUS_UDA_DATA", "/data")


@pytest.mark.parametrize("name", SHIPPED)
def test_every_shipped_config_loads(name):
    settings = read_settings(name, [])
    benchmark, _, stem = name.partition("/")
    if benchmark == "cpu":
        assert settings.method == METHOD_OF.get(stem, stem)
        assert (settings.start is None) == (stem in ("source", "oracle", "demo"))
        assert settings.network.architecture == "deeplab_v3plus"
        assert settings.steps % settings.snapshot_every == 0
    else:
        last = stem.removesuffix("_multi").rpartition("_")[2]
        assert settings.method == {"it": "asa", "st": "self_training"}.get(last, last)
        assert (settings.start is not None) == (last in ("st", "cbst"))
        assert settings.start_checkpoint == ("selected" if last == "st" else "last")
        assert (settings.adaptation.auxiliary is not None) == stem.endswith("_multi")
        assert settings.network.architecture == "deeplab_v2"
        assert (settings.steps, settings.batch_size) == (100_000, 1)
        assert settings.data.target_size == (512, 1024)


def test_the_authors_own_rows_are_all_there():
    for benchmark in ("gta5", "synthia"):
        for backbone in ("resnet101", "vgg16"):
            for method in ("source", "asc", "asa"):
                assert f"{benchmark}/{backbone}_{method}" in SHIPPED
    for city in ("rome", "rio", "tokyo", "taipei"):
        for method in ("source", "asa"):
            assert f"cross_city/{city}_{method}" in SHIPPED


def test_asa_after_translation_has_a_tenth_of_its_weight():
    def weight(name):
        return read_settings(name, []).adaptation.adversarial_weight

    assert weight("gta5/resnet101_asa_it") == 0.0001 == weight("gta5/resnet101_asa") / 10
    assert weight("synthia/resnet101_asa_it") == 0.0001


def test_sizes_and_classes_of_the_three_benchmarks():
    def of(name):
        data = read_settings(name, []).data
        return data.source_size, data.classes, data.source

    assert of("gta5/vgg16_asa") == ((720, 1280), 19, "gta5:/data/gta5")
    assert of("synthia/resnet101_asc") == ((760, 1280), 16, "synthia:/data/synthia")
    assert of("cross_city/rio_asa") == ((512, 1024), 13, "cityscapes:/data/cityscapes#train")


def test_head_learns_ten_times_faster_on_resnet_alone():
    assert read_settings("gta5/resnet101_asa", []).segmenter.head_lr_factor == 10
    assert read_settings("gta5/vgg16_asa", []).segmenter.head_lr_factor == 1


def test_presets_change_every_item_and_explicit_settings_win():
    paper = read_settings("gta5/resnet101_asa", [])
    released = read_settings("gta5/resnet101_asa", ["preset=released"])
    assert (paper.affinity.measure, released.affinity.measure) == ("bernoulli_kl", "released")
    assert (paper.affinity.similarity, released.affinity.similarity) == ("cosine", "dot")
    assert (paper.shuffle, released.shuffle) == (True, False)
    damping = [s.adaptation.adversarial_damping for s in (paper, released)]
    assert damping == [False, True]
    assert (paper.data.test_resize, released.data.test_resize) == ("bicubic", "bilinear")
    assert isinstance(paper.network, DeepLabV2Settings)
    assert isinstance(released.network, DeepLabV2Settings)
    for name in DEEPLAB_V2_PRESETS["paper"]:
        assert getattr(paper.network, name) != getattr(released.network, name)
    assert paper.adaptation.adversarial_weight == released.adaptation.adversarial_weight == 0.001

    mixed = read_settings("gta5/resnet101_asa", ["preset=released", "network.aspp_branches=4"])
    assert isinstance(mixed.network, DeepLabV2Settings)
    assert mixed.network.aspp_branches == 4
    assert mixed.network.normalisation == "bgr_minus_rgb_mean"


def test_no_shipped_config_overrides_an_item_of_the_presets():
    items = {
        key for values in PRESETS["paper"].values() if isinstance(values, dict) for key in values
    }
    items |= {*DEEPLAB_V2_PRESETS["paper"], "shuffle"}
    for path in (config_folder() / "roadscene").rglob("*.yaml"):
        keys = {line.split(":")[0].strip() for line in path.read_text().splitlines()}
        assert not keys & items, path


def test_resolved_settings_read_back_alike():
    settings = read_settings("gta5/resnet101_asa", ["preset=released"])
    assert type(settings).model_validate(settings.model_dump(mode="json")) == settings


def test_options_of_the_other_architecture_are_refused():
    assert isinstance(read_settings("cpu/source", []).network, RoadDeepLabV3PlusSettings)
    with pytest.raises(InputError, match="aspp_branches"):
        read_settings("cpu/source", ["network.aspp_branches=2"])


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("preset=authors", "preset: Input should be 'paper' or 'released'"),
        ("data.classes=20", "data.classes: Input should be 19, 16 or 13"),
        ("data.source_size=[720]", "data.source_size"),
        ("network.architecture=unet", "architecture"),
    ],
)
def test_wrong_values_are_named(override, message):
    with pytest.raises(InputError, match=message):
        read_settings("gta5/resnet101_asa", [override])


def test_unknown_name_is_told_the_nearest_shipped_one():
    found = "Got: 'gta5/resnet_asa'. Did you mean gta5/resnet101_asa"
    with pytest.raises(InputError, match=found):
        read_settings("gta5/resnet_asa", [])


def test_a_map_too_small_for_the_discriminator_is_refused(monkeypatch):
    monkeypatch.setenv("FUNDUS_UDA_DATA", "/data")
    given = ["affinity.stride=4", "data.target_size=[112,256]"]
    with pytest.raises(InputError, match="data.target_size must be at least 128 with affinity"):
        read_settings("cpu/asa", given)
    read_settings("cpu/source", given)


@pytest.mark.parametrize("experiment", ["cpu/mean_teacher", "cpu/source"])
@pytest.mark.parametrize("method", ["self_training", "mean_teacher", "adabn"])
def test_what_learns_no_labels_needs_a_network_to_start_from(experiment, method):
    overrides = [f"method={method}", "start=null"]
    with pytest.raises(InputError, match=f"start must name a run folder .* method {method}"):
        read_settings(experiment, overrides)
    assert read_settings(experiment, [*overrides[:1], "start=runs/source"]).start == "runs/source"


def test_a_batch_of_one_cannot_be_normalised_by_deeplab_v3plus_alone():
    assert read_settings("gta5/resnet101_asa", []).batch_size == 1
    with pytest.raises(InputError, match="batch_size must be at least 2, as DeepLabv3"):
        read_settings("cpu/asa", ["batch_size=1"])
