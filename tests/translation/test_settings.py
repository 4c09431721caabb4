import pytest

from fundus_uda.config.read import shipped_experiments
from fundus_uda.errors import InputError
from fundus_uda.translation.settings import METHODS, CycadaSettings, FourierSettings, read_settings


def read(method, *overrides, model=None, config="paper"):
    return read_settings(method, "folder:a", "folder:b", model, config, list(overrides))


@pytest.mark.parametrize("name", shipped_experiments("translation"))
def test_every_shipped_config_loads(name):
    profile, _, method = name.partition("/")
    settings = read(method, model="run" if method == "cycada" else None, config=profile)
    assert (settings.source, settings.target) == ("folder:a", "folder:b")


def test_every_method_is_in_every_profile():
    profiles = ("cpu", "paper", "streets")
    expected = {f"{profile}/{method}" for profile in profiles for method in METHODS}
    assert set(shipped_experiments("translation")) == expected


def test_the_profile_of_streets_is_that_of_cycadas_release():
    """Images of 1024 pixels in width, crops of 400, 20 epochs of 24 966 images of GTA5."""
    streets, paper = (read("cycada", model="run", config=name) for name in ("streets", "paper"))
    assert isinstance(streets, CycadaSettings)
    assert isinstance(paper, CycadaSettings)
    assert (streets.width, streets.crop, streets.identity_weight) == (1024, 400, 1)
    assert streets.steps == 499_320 == 20 * 24_966
    assert (streets.batch_size, streets.snapshot_every) == (1, 24_966)
    different = {"width", "crop", "identity_weight", "steps", "snapshot_every"}
    assert streets.model_dump(exclude=different) == paper.model_dump(exclude=different)
    assert paper.width is None
    assert read("fourier", config="streets") == read("fourier")


def test_a_width_is_at_least_64_pixels():
    with pytest.raises(InputError, match="width: Input should be greater than or equal to 64"):
        read("cycada", "width=32", model="run", config="streets")


def test_a_file_may_be_named_instead_of_a_profile(tmp_path):
    (tmp_path / "mine.yaml").write_text("beta: 0.2")
    settings = read("fourier", "seed=3", config=str(tmp_path / "mine.yaml"))
    assert settings == FourierSettings(source="folder:a", target="folder:b", beta=0.2, seed=3)


def test_cycada_is_that_of_the_papers_and_its_cpu_profile_is_smaller():
    paper = read("cycada", model="run")
    assert isinstance(paper, CycadaSettings)
    defaults = CycadaSettings(
        source="folder:a", target="folder:b", model="run", steps=80_000, batch_size=1,
        snapshot_every=4000, workers=2,
    )  # fmt: skip
    assert paper == defaults
    assert (paper.generator.blocks, paper.cycle_weight, paper.betas) == (9, 10, (0.5, 0.999))
    small = read("cycada", model="run", config="cpu")
    assert isinstance(small, CycadaSettings)
    assert (small.crop, small.generator.blocks, small.cycle_weight) == (128, 3, 10)


def test_overrides_are_read():
    settings = read("fourier", "beta=0.05", "seed=3")
    assert settings == FourierSettings(source="folder:a", target="folder:b", beta=0.05, seed=3)


@pytest.mark.parametrize("path", ["sp: x/a", "a #train", "{x}", "[x]", 'quoted"', "1e3"])
def test_paths_may_look_like_yaml(path):
    settings = read_settings("cycada", f"folder:{path}", path, path, "paper", [])
    assert isinstance(settings, CycadaSettings)
    assert (settings.source, settings.target, settings.model) == (f"folder:{path}", path, path)


@pytest.mark.parametrize(
    ("method", "options", "message"),
    [
        ("cyclegan", {}, "Expected METHOD to be one of fourier, histogram, cycada"),
        ("cycada", {}, "Expected --model RUN.*Got: cycada with --model missing"),
        ("fourier", {"model": "run"}, "with no other method. Got: fourier with --model run"),
        (
            "fourier",
            {"config": "papers"},
            "Got: 'papers/fourier'. Did you mean paper/fourier?",
        ),
    ],
)
def test_wrong_combinations_are_named(method, options, message):
    with pytest.raises(InputError, match=message):
        read(method, **options)


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("beta=0.6", "beta: Input should be less than or equal to 0.5"),
        ("betta=0.1", "Did you mean beta"),
    ],
)
def test_wrong_values_are_named(override, message):
    with pytest.raises(InputError, match=message):
        read("fourier", override)
