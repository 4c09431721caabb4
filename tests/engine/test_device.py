import platform
import subprocess
import sys

import pytest
import torch

from fundus_uda.engine.device import pick_device
from fundus_uda.errors import InputError

CPU = torch.device("cpu")


def test_devices(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert pick_device("auto") == pick_device("cpu") == CPU
    with pytest.raises(InputError, match="Expected a CUDA device for 'cuda'. Got: 0"):
        pick_device("cuda")
    with pytest.raises(InputError, match="auto, cpu, cuda or mps. Got: 'gpu'"):
        pick_device("gpu")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    assert pick_device("auto").type == "cuda"
    with pytest.raises(InputError, match="'cuda:1'. Got: 1"):
        pick_device("cuda:1")
    with pytest.raises(InputError, match="auto, cpu, cuda or mps. Got: 'cuda:'"):
        pick_device("cuda:")


def test_the_gpu_of_a_mac_is_taken_by_its_name_alone(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(InputError, match="Expected a Mac's GPU for 'mps'. Got: none"):
        pick_device("mps")
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    assert pick_device("mps") == torch.device("mps")
    assert pick_device("auto") == CPU


FAULTS = """
import resource, sys, torch
from fundus_uda.engine.device import retain_freed_memory
if sys.argv[1] == "keep":
    retain_freed_memory()
layer, image = torch.nn.Conv2d(8, 8, 3), torch.randn(8, 8, 256, 256)
def faults_of(steps):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(steps):
        layer(image).relu().square().sum().backward()
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
faults_of(20)
print(faults_of(20))
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="the C library is not glibc")
def test_freed_memory_is_used_again():
    def page_faults(what):
        command = [sys.executable, "-c", FAULTS, what]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        return int(done.stdout)

    assert page_faults("keep") < page_faults("as it is") / 2
