"""What keeps the code as its layout says."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
MODULES = sorted(
    path.relative_to(ROOT).with_suffix("").as_posix().replace("/", ".")
    for package in ("fundus_uda", "roadscene", "cli")
    for path in (ROOT / package).rglob("*.py")
)
assert len(MODULES) > 100


def imported_by(module: str) -> set[str]:
    """Top-level packages that a fresh interpreter loads for a module."""
    code = f"import sys, {module}; print(*{{name.split('.')[0] for name in sys.modules}})"
    run = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT
    )
    return set(run.stdout.split())


def test_the_affinity_core_needs_torch_alone():
    loaded = imported_by("fundus_uda.affinity")
    assert "torch" in loaded
    assert not loaded & {"monai", "pydantic", "pandas", "PIL", "yaml", "rich", "skimage"}


def test_the_engine_does_without_monai():
    assert not imported_by("fundus_uda.engine.train") & {"monai", "pandas", "PIL", "skimage"}


def test_translation_does_without_either_application():
    loaded = imported_by("fundus_uda.translation.stage")
    assert not loaded & {"monai", "pandas", "segmentation_models_pytorch", "roadscene"}


def test_the_package_itself_is_light():
    assert not imported_by("fundus_uda") & {"torch", "monai", "numpy"}


def test_no_module_is_longer_than_one_sitting():
    long = {
        module: lines
        for module in MODULES
        if (lines := len((ROOT / f"{module.replace('.', '/')}.py").read_text().splitlines())) > 350
    }
    assert not long, "Is there a seam?"


def test_names_say_what_is_inside():
    vague = {"utils", "util", "common", "helpers", "misc", "base"}
    assert not [module for module in MODULES if module.split(".")[-1] in vague]
