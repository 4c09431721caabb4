"""The built wheel, installed away from the checkout, runs with its shipped settings."""

import importlib
import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from fundus_uda import __version__
from fundus_uda.config.read import shipped_experiments

ROOT = Path(__file__).parent.parent


@pytest.mark.slow
def test_the_wheel_runs_and_finds_its_configs(tmp_path):
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
    build = ["wheel", "--no-deps", "--no-build-isolation", "--no-index", "-w", str(tmp_path)]
    subprocess.run([*pip, *build, str(ROOT)], check=True)
    (wheel,) = tmp_path.glob("fundus_uda-*.whl")
    site = tmp_path / "site"
    subprocess.run(
        [*pip, "install", "--no-deps", "--no-index", "--target", str(site), str(wheel)], check=True
    )
    code = """
import fundus_uda, roadscene
from fundus_uda import __version__
from fundus_uda.config.read import config_folder, shipped_experiments
from fundus_uda.segmentation.settings import read_settings
print(fundus_uda.__file__)
print(read_settings("paper/asa", []).method)
print(*(p.relative_to(config_folder()) for p in config_folder().rglob("*.yaml")))
groups = ("fundus", "roadscene", "translation")
print(*(f"{group}/{name}" for group in groups for name in shipped_experiments(group)))
from importlib.resources import files
parts = ("page.html.j2", "page.css", "page.js")
print(all((files("fundus_uda.clinic.report") / part).is_file() for part in parts))
print((files("fundus_uda.weights") / "rendered.safetensors").is_file())
"""
    environment = {**os.environ, "PYTHONPATH": str(site), "FUNDUS_UDA_DATA": "/data"}
    printed = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.splitlines()
    assert Path(printed[0]).is_relative_to(site)
    assert printed[1] == "asa"
    on_disk = {p.relative_to(ROOT / "configs") for p in (ROOT / "configs").rglob("*.yaml")}
    assert {Path(name) for name in printed[2].split()} == on_disk
    groups = ("fundus", "roadscene", "translation")
    shipped = {f"{group}/{name}" for group in groups for name in shipped_experiments(group)}
    assert set(printed[3].split()) == shipped
    assert printed[4:6] == ["True", "True"]
    top = {path.name for path in site.iterdir() if not path.name.endswith(".dist-info")}
    assert top == {"bin", "fundus_uda", "roadscene"}
    for module in ("fundus_uda", "roadscene"):
        command = [sys.executable, "-m", module, "--version"]
        run = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
        assert run.stdout.strip() == __version__, run.stderr


@pytest.mark.parametrize("module", ["fundus_uda", "roadscene"])
def test_a_checkout_runs_even_if_another_cli_is_installed(module, tmp_path):
    (tmp_path / "cli.py").write_text("raise SystemExit('another cli')")
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), str(ROOT)])}
    code = f"import sys; sys.argv[1:] = ['--version']; from {module}.__main__ import run; run()"
    command = [sys.executable, "-c", code]
    run = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert run.stdout.strip() == __version__, run.stderr


def test_the_entry_points_are_there_in_an_editable_install_too():
    """Their modules are in packages that the checkout has, and not in what the wheel renames."""
    scripts = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["scripts"]
    for target in scripts.values():
        module, _, function = target.partition(":")
        assert (ROOT / f"{module.replace('.', '/')}.py").is_file()
        assert callable(getattr(importlib.import_module(module), function))
