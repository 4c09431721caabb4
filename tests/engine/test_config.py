from typing import Annotated, Literal

import pytest
from pydantic import Field

from fundus_uda.engine.config import EngineSettings, Settings, differences, load_settings
from fundus_uda.engine.errors import InputError


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
    return load_settings(Outer, path, list(overrides))


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
        load_settings(Nested, tmp_path / "run.yaml", [])
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


def test_differences_name_both_values():
    one = {"a": 1, "b": {"c": 2, "d": 3}}
    other = {"a": 1, "b": {"c": 5}}
    assert differences(one, other) == ["b.c: 2 here, 5 there", "b.d: 3 here, None there"]


def test_settings_cannot_be_changed():
    settings = EngineSettings(method="asa", steps=1, batch_size=1, snapshot_every=1)
    with pytest.raises(ValueError, match="frozen"):
        settings.steps = 2
