"""The README names functions, tests and files that exist."""

import re
from pathlib import Path

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_links_lead_to_files():
    links = re.findall(r"\]\(([^)#:]+)\)", README)
    assert len(links) > 8
    assert [link for link in links if not (ROOT / link).exists()] == []


def test_the_table_from_paper_to_code_names_real_functions_and_tests():
    code = "\n".join(path.read_text() for path in (ROOT / "fundus_uda").rglob("*.py"))
    tests = "\n".join(path.read_text() for path in (ROOT / "tests").rglob("test_*.py"))
    table = README.split("## From the paper to the code")[1].split("Decisions where")[0]
    names = re.findall(r"`([\w.]+)(?:\([^`]*\))?`", table)
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
