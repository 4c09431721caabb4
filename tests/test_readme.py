"""The pages name functions, tests, commands and files that exist."""

import re
import shlex
from collections.abc import Iterator
from dataclasses import replace
from importlib import import_module
from itertools import product
from pathlib import Path

import pytest
from typer.testing import CliRunner

from cli.inspect import fundus as inspect_fundus
from fundus_uda.application import FUNDUS
from fundus_uda.config.read import config_folder
from fundus_uda.data.datasets import LAYOUTS
from fundus_uda.engine.run_folder import LOGS
from fundus_uda.export.formats import FORMATS
from roadscene.application import ROADSCENE

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
ARCHITECTURE = (ROOT / "fundus_uda" / "README.md").read_text(encoding="utf-8")
PAGES = sorted(
    path
    for folder in (".", ".github", "configs", "fundus_uda", "roadscene", "tests")
    for path in (ROOT / folder).glob("**/*.md" if folder != "." else "*.md")
)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_links_lead_to_files(page):
    links = re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8"))
    assert [link for link in links if not (page.parent / link).exists()] == []


def test_the_readme_leads_to_every_page():
    links = set(re.findall(r"\]\(([^)#:]+)", README))
    assert {"fundus_uda/README.md", "fundus_uda/RESULTS.md", "roadscene/README.md"} <= links
    assert len(README.splitlines()) < 150


def test_ci_finds_the_test_command():
    """A line of its own, which `.ci/run` takes from the page."""
    assert len(re.findall(r"^pip install .*\[test\].* && pytest$", README, re.MULTILINE)) == 1


def test_the_table_from_paper_to_code_names_real_functions_and_tests():
    code = "\n".join(
        path.read_text()
        for room in ("fundus_uda", "roadscene")
        for path in (ROOT / room).rglob("*.py")
    )
    tests = "\n".join(path.read_text() for path in (ROOT / "tests").rglob("test_*.py"))
    table = ARCHITECTURE.split("## From the paper to the code")[1].split("Decisions where")[0]
    names = re.findall(r"`([\w.]+)(?:\([^`]*\))?`", table.split("|---|---|---|")[1])
    assert len(names) > 18
    for name in names:
        last = name.split(".")[-1]
        where = tests if last.startswith("test_") else code
        assert re.search(rf"(def|class) {last}\b", where), name


def test_commands_of_the_readme_exist():
    from cli.main import app

    table = README.split("| command | what it does |")[1].split("\n\n")[0]
    documented = set(re.findall(r"^\| `(\w+)", table, flags=re.MULTILINE))
    assert documented == {command.name for command in app.registered_commands}


def test_inspect_names_every_kind_of_dataset():
    """By hand, since the table of layouts would load torch before `--help` is answered."""
    told = " ".join(inspect_fundus.__doc__.split())
    named = re.search(r"KIND is ([a-z0-9, -]+)\.", told)[1]
    assert re.split(r", | or ", named) == list(LAYOUTS)


def test_export_has_a_row_for_every_format():
    page = (ROOT / "fundus_uda" / "export" / "README.md").read_text(encoding="utf-8")
    assert set(re.findall(r"^\| `([a-z-]+)` \|", page, re.MULTILINE)) == set(FORMATS)


def test_the_architecture_names_what_a_run_folder_holds():
    told = ARCHITECTURE.split("A run folder holds")[1].split("A checkpoint")[0]
    assert set(LOGS) | {"last.previous.pt", "weights.txt", "finished"} <= set(
        re.findall(r"`([\w.]+)/?`", told)
    )


def test_the_number_of_pinned_packages_is_told():
    pinned = re.findall(
        r"^[\w.-]+==", (ROOT / ".ci" / "requirements.txt").read_text(), re.MULTILINE
    )
    results = (ROOT / "fundus_uda" / "RESULTS.md").read_text(encoding="utf-8")
    assert f"{len(pinned)} packages with hashes" in results


def test_the_map_names_the_modules_that_are_there():
    rooms = ARCHITECTURE.split("## The rooms")[1].split("```")[1]
    named = set(re.findall(r"\b[a-z_0-9]+\b", rooms))
    there = {path.stem for path in (ROOT / "fundus_uda").rglob("*.py") if path.stem != "__init__"}
    assert there - named == set()


def training_commands(page: Path) -> Iterator[str]:
    """Find each `train` of a page, in its blocks of commands and within its lines.

    Variables that the block sets or loops over are filled in; what names no settings is left out.
    """
    text = page.read_text(encoding="utf-8")
    for block in re.findall(r"^```.*?\n(.*?)^```", text, re.MULTILINE | re.DOTALL):
        variables: dict[str, list[str]] = {}
        for line in block.replace("\\\n", " ").splitlines():
            if loop := re.match(r"\s*for (\w+) in (.*); do", line):
                variables[loop[1]] = loop[2].split()
            elif assignment := re.match(r'(\w+)="(.*)"$', line):
                variables[assignment[1]] = [assignment[2]]
            used = [name for name in variables if f"${name}" in line]
            for values in product(*(variables[name] for name in used)):
                filled = line
                for name, value in zip(used, values, strict=True):
                    filled = filled.replace(f"${name}", value)
                yield from _training_in(filled)
    without_blocks = re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL)
    for code in re.findall(r"`([^`]+)`", without_blocks):
        yield from _training_in(" ".join(code.split()))


def _training_in(line: str) -> Iterator[str]:
    found = re.search(r"(fundus-uda|fundus_uda|roadscene) (train (?!EXPERIMENT|\.\.\.).+)", line)
    if found:
        command, _, _ = found[2].replace("SEED", "0").partition(" # ")
        yield " ".join(f"{found[1].replace('_', '-')} {command}".split())


TRAINING = sorted(
    {command for page in PAGES if page.stem != "CHANGELOG" for command in training_commands(page)}
)


@pytest.mark.parametrize("command", TRAINING)
def test_training_commands_have_settings_that_are_accepted(command, tmp_path, monkeypatch):
    """Up to the training itself, which is left out."""
    trained = []
    for module, name, application in (
        ("fundus_uda", "FUNDUS", FUNDUS),
        ("roadscene", "ROADSCENE", ROADSCENE),
    ):
        stub = replace(application, train=lambda settings, *_: trained.append(settings))
        monkeypatch.setattr(f"{module}.application.{name}", stub)
    monkeypatch.setenv("FUNDUS_UDA_DATA", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    own = f"extends: {config_folder() / 'fundus' / 'cpu.yaml'}\nmethod: source\n"
    Path("my.yaml").write_text(own, encoding="utf-8")
    program, *arguments = shlex.split(command)
    app = import_module("cli.main" if program == "fundus-uda" else "cli.roadscene").app
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0, result.output
    assert len(trained) == 1


def test_the_pages_have_training_commands():
    assert len(TRAINING) > 12
    assert {command.split()[0] for command in TRAINING} == {"fundus-uda", "roadscene"}
