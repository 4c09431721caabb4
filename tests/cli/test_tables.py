"""Tables to read, and as JSON for another program."""

import json

import pandas as pd
import pytest
import typer
from typer.testing import CliRunner

from cli.main import COMMANDS, app
from cli.register import PRINTING_TABLES, register
from cli.tables import as_json, print_rows, print_table


def test_json_has_null_for_what_is_missing_and_all_digits(capsys):
    table = pd.DataFrame({"name": ["a", "b"], "value": [1 / 3, float("nan")]})
    with as_json():
        print_table(table, "| Markdown |")
        typer.echo("Wrote it.")
    out, err = capsys.readouterr()
    assert json.loads(out) == [{"name": "a", "value": 1 / 3}, {"name": "b", "value": None}]
    assert err == "Wrote it.\n"
    print_table(table, "| Markdown |")
    assert capsys.readouterr().out == "| Markdown |\n"


def test_rows_are_records(capsys):
    with as_json():
        print_rows(("x", "y"), [(1, "two")])
    assert json.loads(capsys.readouterr().out) == [{"x": 1, "y": "two"}]


def test_a_command_prints_nothing_but_json_on_stdout():
    told = CliRunner().invoke(app, ["configs", "--json"])
    assert told.exit_code == 0, told.output
    assert {"cpu/asa", "paper/asa"} <= {row["experiment"] for row in json.loads(told.stdout)}
    assert "|" in CliRunner().invoke(app, ["configs"]).stdout


@pytest.mark.parametrize("name", sorted(PRINTING_TABLES))
def test_every_command_that_prints_a_table_has_the_switch(name):
    assert name in COMMANDS
    told = CliRunner().invoke(app, [name, "--help"], env={"COLUMNS": "200"})
    assert "--json" in told.output


def test_a_command_that_prints_none_has_no_switch():
    other = typer.Typer(name="x")
    register(other, {"predict": (lambda: None, ""), "configs": (lambda: None, "")})
    assert CliRunner().invoke(other, ["predict", "--json"]).exit_code == 2
    assert CliRunner().invoke(other, ["configs", "--json"]).exit_code == 0
