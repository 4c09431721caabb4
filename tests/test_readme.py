"""The pages name functions, tests, commands and files that exist."""

import re
from pathlib import Path

import pytest

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


def test_the_map_names_the_modules_that_are_there():
    rooms = ARCHITECTURE.split("## The rooms")[1].split("```")[1]
    named = set(re.findall(r"\b[a-z_0-9]+\b", rooms))
    there = {path.stem for path in (ROOT / "fundus_uda").rglob("*.py") if path.stem != "__init__"}
    assert there - named == set()
