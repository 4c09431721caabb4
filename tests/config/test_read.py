from typing import Annotated, Literal

import pytest
from pydantic import Field

from fundus_uda.config.read import (
    Settings,
    config_folder,
    differences,
    load_settings,
    shipped_experiments,
)
from fundus_uda.engine.settings import EngineSettings
from fundus_uda.errors import InputError


class Inner(Settings):
    size: int = 3
    kind: Literal["a", "b"] = "a"


class Outer(Settings):
    steps: int
    path: str | None = ""
    fast: bool = False
    inner: Inner = Inner()


def load(tmp_path, text, *overrides):
    path = tmp_path / "run.yaml"
    path.write_text(text)
    return load_settings(Outer, str(path), "fundus", list(overrides))


def load_experiment(tmp_path, name, *overrides):
    return load_settings(Outer, f"{tmp_path / 'run.yaml'}/{name}", "fundus", list(overrides))


def test_overrides_win_over_the_file_and_keep_its_other_keys(tmp_path):
    loaded = load(tmp_path, "steps: 5\ninner: {size: 7}", "inner.kind=b", "steps=6")
    assert loaded == Outer(steps=6, inner=Inner(size=7, kind="b"))


def test_extends_starts_from_another_file(tmp_path):
    (tmp_path / "base.yaml").write_text("steps: 1\ninner: {size: 9}")
    loaded = load(tmp_path, "extends: base.yaml\nsteps: 2")
    assert loaded == Outer(steps=2, inner=Inner(size=9))


def test_an_unknown_key_is_named_with_the_nearest_known_one(tmp_path):
    with pytest.raises(InputError, match=r"inner\.sise: unknown key\. Did you mean inner\.size\?"):
        load(tmp_path, "steps: 1\ninner: {sise: 2}")


@pytest.mark.parametrize("base", ["run.yaml", "5", "[a]"])
def test_extends_that_leads_nowhere_is_named(base, tmp_path):
    with pytest.raises(InputError, match="Expected `extends` in .*run.yaml to name another"):
        load(tmp_path, f"extends: {base}\nsteps: 1")


def test_the_nearest_key_is_found_in_optional_and_tagged_sections(tmp_path):
    class Left(Settings):
        kind: Literal["left"]
        encoder: str = ""

    class Right(Settings):
        kind: Literal["right"]

    class Nested(Settings):
        side: Annotated[Left | Right, Field(discriminator="kind")]
        extra: Inner | None = None

    (tmp_path / "run.yaml").write_text("side: {kind: left, encodr: x}\nextra: {sice: 1}")
    with pytest.raises(InputError) as caught:
        load_settings(Nested, str(tmp_path / "run.yaml"), "fundus", [])
    assert "side.encodr: unknown key. Did you mean side.encoder?" in str(caught.value)
    assert "extra.sice: unknown key. Did you mean extra.size?" in str(caught.value)


def test_a_key_like_no_other_lists_the_known_ones(tmp_path):
    with pytest.raises(InputError, match=r"zzz: unknown key\. Known are steps, path, fast, "):
        load(tmp_path, "steps: 1\nzzz: 2")


@pytest.mark.parametrize(
    "text", ["/eyes #1/a", "folder:w8/col: on", "yes", "007", "{a: 1}", "[", "it's", "@x", "# a"]
)
def test_a_text_on_the_command_line_is_taken_as_it_is_written(text, tmp_path):
    assert load(tmp_path, "steps: 1", f"path={text}").path == text


@pytest.mark.parametrize(
    ("text", "value"), [("null", None), ("", None), ('"null"', "null"), (r'"a\"b"', 'a"b')]
)
def test_no_text_and_a_quoted_text_on_the_command_line(text, value, tmp_path):
    assert load(tmp_path, "steps: 1", f"path={text}").path == value


def test_problems_of_the_command_line_are_told_apart(tmp_path):
    with pytest.raises(InputError) as caught:
        load(tmp_path, "steps: x", "inner.size=y", "pth=z")
    _, *problems = str(caught.value).splitlines()
    from_there = {
        p.split(":")[0].strip(): p.endswith(" (From the command line.)") for p in problems
    }
    assert from_there == {"steps": False, "inner.size": True, "pth": True}


@pytest.mark.parametrize("text", ["steps: true", "steps: 1\ninner: {size: off}"])
def test_a_boolean_is_no_number(text, tmp_path):
    with pytest.raises(InputError, match="Input should be a valid integer.* Got: '(true|false)'"):
        load(tmp_path, text)
    assert load(tmp_path, "steps: 1\nfast: true").fast is True


def test_a_key_given_twice_is_refused(tmp_path):
    with pytest.raises(InputError, match="(?s)YAML in .*the key 'steps' twice.*line 3"):
        load(tmp_path, "steps: 1\ninner: {size: 2}\nsteps: 2")
    with pytest.raises(InputError, match="the key 'size' twice"):
        load(tmp_path, "steps: 1\ninner: {size: 2, size: 3}")


def test_all_problems_are_told_at_once(tmp_path):
    with pytest.raises(InputError) as caught:
        load(tmp_path, "inner: {size: x, kind: c}")
    message = str(caught.value)
    assert "3 problem(s)" in message
    assert "steps: required, and missing." in message
    assert "inner.size: Input should be a valid integer" in message
    assert "Got: 'x'" in message
    assert "inner.kind: Input should be 'a' or 'b'. Got: 'c'." in message


def test_variables_of_the_environment_are_expanded(tmp_path, monkeypatch):
    monkeypatch.setenv("WHERE", "/data")
    assert load(tmp_path, "steps: 1\npath: '${WHERE}/x'").path == "/data/x"


def test_an_unset_variable_is_named(tmp_path, monkeypatch):
    monkeypatch.delenv("WHERE", raising=False)
    with pytest.raises(InputError, match="environment variable WHERE.*not set"):
        load(tmp_path, "steps: 1\npath: '${WHERE}/x'")


@pytest.mark.parametrize(
    ("text", "overrides", "message"),
    [
        ("steps: [", [], "Expected YAML in"),
        ("- 1", [], "Expected `key: value` lines.*Got: list"),
        ("extends: none.yaml", [], "Expected a YAML settings file.*none.yaml"),
        ("steps: 1", ["steps"], "Expected KEY=VALUE.*Got: 'steps'"),
    ],
)
def test_what_is_no_settings_file_is_refused(tmp_path, text, overrides, message):
    with pytest.raises(InputError, match=message):
        load(tmp_path, text, *overrides)


EXPERIMENTS = """
steps: 5
inner: {size: 7}
experiments:
  plain:
  large: {inner: {kind: b}, path: x}
  larger: {extends: large, inner: {size: 9}}
  largest: {extends: larger, steps: 50}
"""


def test_an_experiment_is_laid_over_the_rest_of_its_file(tmp_path):
    assert load(tmp_path, EXPERIMENTS) == Outer(steps=5, inner=Inner(size=7))
    assert load_experiment(tmp_path, "plain") == Outer(steps=5, inner=Inner(size=7))
    large = load_experiment(tmp_path, "large")
    assert large == Outer(steps=5, path="x", inner=Inner(size=7, kind="b"))


def test_an_experiment_may_extend_another_of_its_file(tmp_path):
    (tmp_path / "run.yaml").write_text(EXPERIMENTS)
    larger = load_experiment(tmp_path, "larger")
    assert larger == Outer(steps=5, path="x", inner=Inner(size=9, kind="b"))
    assert load_experiment(tmp_path, "largest") == larger.model_copy(update={"steps": 50})


def test_overrides_win_over_an_experiment(tmp_path):
    (tmp_path / "run.yaml").write_text(EXPERIMENTS)
    loaded = load_experiment(tmp_path, "largest", "steps=6", "inner.size=1")
    assert loaded == Outer(steps=6, path="x", inner=Inner(size=1, kind="b"))


def test_experiments_of_an_extended_file_are_not_inherited(tmp_path):
    """The rest of that file is, below the experiments of the file that extends it."""
    (tmp_path / "base.yaml").write_text(EXPERIMENTS)
    (tmp_path / "run.yaml").write_text(
        "extends: base.yaml\nsteps: 6\nexperiments:\n  own: {inner: {kind: b}}"
    )
    assert load_experiment(tmp_path, "own") == Outer(steps=6, inner=Inner(size=7, kind="b"))
    with pytest.raises(InputError, match=r"shipped experiment. Got: '.*run.yaml/large'"):
        load_experiment(tmp_path, "large")
    (tmp_path / "run.yaml").write_text("extends: base.yaml\nexperiments:\n  x: {extends: large}")
    with pytest.raises(InputError, match="`extends` of x in .*run.yaml to .* Got: 'large'"):
        load_experiment(tmp_path, "x")


@pytest.mark.parametrize(
    ("entries", "got"),
    [
        ("a: {extends: a}", "'a'"),
        ("a: {extends: b}, b: {extends: c}, c: {extends: b}", "'b'"),
        ("a: {extends: c}", "'c'"),
        ("a: {extends: 5}", "5"),
    ],
)
def test_an_experiment_that_extends_nothing_or_itself_is_named(entries, got, tmp_path):
    (tmp_path / "run.yaml").write_text(f"steps: 1\nexperiments: {{{entries}}}")
    message = "`extends` of a in .*run.yaml to name another experiment there that does not lead"
    with pytest.raises(InputError, match=f"{message} back to it. Got: {got}"):
        load_experiment(tmp_path, "a")


def test_a_key_of_an_experiment_is_read_as_strictly_as_one_of_its_file(tmp_path):
    (tmp_path / "run.yaml").write_text("steps: 1\nexperiments: {a: {inner: {sise: 2}}}")
    with pytest.raises(InputError, match=r"inner\.sise: unknown key\. Did you mean inner\.size\?"):
        load_experiment(tmp_path, "a")
    (tmp_path / "run.yaml").write_text("steps: 1\nexperiments: {a: {}, a: {}}")
    with pytest.raises(InputError, match="the key 'a' twice"):
        load_experiment(tmp_path, "a")


@pytest.mark.parametrize(
    ("group", "name", "hint"),
    [
        ("fundus", "cpu/asaa", "Did you mean cpu/asa?"),
        ("fundus", "paper/minnent", "Did you mean paper/minent?"),
        ("roadscene", "gta5/resnet101_asaa", "Did you mean gta5/resnet101_asa?"),
        ("roadscene", "gta5/resnet101_mean_teachr", "Did you mean "),
        ("fundus", "zzzzzzzz", "The command `configs` lists them."),
    ],
)
def test_an_unknown_experiment_names_the_nearest(group, name, hint):
    with pytest.raises(InputError) as caught:
        load_settings(EngineSettings, name, group, [])
    found = str(caught.value)
    assert found.startswith("Expected a settings file or a shipped experiment. ")
    assert f"Got: '{name}'. {hint}" in found


def test_shipped_experiments_are_the_entries_of_the_shipped_files():
    assert {path.name for path in config_folder().rglob("*.yaml")} == {
        "cpu.yaml", "paper.yaml", "streets.yaml", "gta5.yaml", "synthia.yaml", "cross_city.yaml"
    }  # fmt: skip
    names = shipped_experiments("fundus")
    assert {"cpu/asa", "paper/asa", "cpu/demo", "paper/mean_teacher"} <= set(names)
    assert len(names) == len(set(names))
    assert not {"cpu", "paper", "gta5/resnet101_asa"} & set(names)
    assert {"gta5/resnet101_asa", "cpu/asa"} <= set(shipped_experiments("roadscene"))


def test_differences_name_both_values():
    one = {"a": 1, "b": {"c": 2, "d": 3}}
    other = {"a": 1, "b": {"c": 5}}
    assert differences(one, other) == ["b.c: 2 here, 5 there", "b.d: 3 here, None there"]


def test_settings_cannot_be_changed():
    settings = EngineSettings(method="asa", steps=1, batch_size=1, snapshot_every=1)
    with pytest.raises(ValueError, match="frozen"):
        settings.steps = 2


@pytest.mark.parametrize("entries", ["[a]", "{a: 5}", "5"])
def test_experiments_that_are_no_settings_are_refused(tmp_path, entries):
    (tmp_path / "my.yaml").write_text(f"steps: 1\nexperiments: {entries}\n")
    with pytest.raises(InputError, match="Expected `experiments` in .*my.yaml to have entries"):
        load_settings(EngineSettings, f"{tmp_path}/my.yaml/a", "fundus", [])


def test_an_entry_may_be_empty_and_extends_must_be_a_name(tmp_path):
    text = "method: asa\nsteps: 1\nbatch_size: 1\nsnapshot_every: 1\nexperiments:\n  a:\n"
    (tmp_path / "my.yaml").write_text(text + "  b: {extends: [a]}\n")
    assert load_settings(EngineSettings, f"{tmp_path}/my.yaml/a", "fundus", []).method == "asa"
    with pytest.raises(InputError, match="Got: \\['a'\\]"):
        load_settings(EngineSettings, f"{tmp_path}/my.yaml/b", "fundus", [])


def test_a_misspelt_experiment_of_ones_own_file_names_the_nearest_there(tmp_path):
    (tmp_path / "my.yaml").write_text("experiments: {mine: {steps: 3}}\n")
    with pytest.raises(InputError, match="Did you mean .*my.yaml/mine?"):
        load_settings(EngineSettings, f"{tmp_path}/my.yaml/mne", "fundus", [])


@pytest.mark.parametrize("text", [
    "? [a]\n: 1", "{{a: 1}: 2}", "steps: " + "1" * 5000, "steps: 2020-13-01", "steps: !!int ''",
    "a: " + "[" * 2000, "steps: !!timestamp x", "a: &x [1]\nb: *x", "steps: \0", "2020-01-01: 1",
])  # fmt: skip
def test_odd_yaml_is_refused_by_its_file(text, tmp_path):
    with pytest.raises(InputError, match="run.yaml"):
        load(tmp_path, text)


@pytest.mark.parametrize("given", [
    "steps=" + "1" * 5000, "steps=0x" + "f" * 5000, "steps=2020-13-01", "inner=[[[[", "steps=*a",
    "." * 100_000 + "=1", "a.b.c.d.e.f.g.h.i.j.k=1", "inner.size={? [a] : 1}", "steps=1e999",
])  # fmt: skip
def test_odd_overrides_are_refused(given, tmp_path):
    with pytest.raises(InputError) as caught:
        load(tmp_path, "steps: 1", given)
    assert len(str(caught.value)) < 1000


class Numbers(Settings):
    lr: float = 1.0
    seed: int = 0
    betas: tuple[float, float] = (0.5, 0.5)
    fast: bool = True


@pytest.mark.parametrize(
    "given", ["lr=1e300", "lr=-.inf", "lr=.nan", "seed=99999999999", "betas=[1,1e10]"]
)
def test_a_number_that_nothing_can_be_computed_with_is_refused(given, tmp_path):
    (tmp_path / "run.yaml").write_text("lr: 0.5")
    with pytest.raises(InputError, match=f"{given.split('=')[0]} must be at most 4294967296"):
        load_settings(Numbers, str(tmp_path / "run.yaml"), "fundus", [given])


def test_a_settings_file_of_an_impossible_name_is_refused(tmp_path):
    for base in ("'a\\0b'", "x" * 300):
        with pytest.raises(InputError, match="Expected a YAML settings file at"):
            load(tmp_path, f'extends: "{base}"\nsteps: 1')
