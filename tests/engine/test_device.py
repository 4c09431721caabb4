import pytest
import torch

from fundus_uda.engine.device import pick_device
from fundus_uda.engine.errors import InputError

CPU = torch.device("cpu")


def test_devices(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert pick_device("auto") == pick_device("cpu") == CPU
    with pytest.raises(InputError, match="Expected a CUDA device for 'cuda'. Got: 0"):
        pick_device("cuda")
    with pytest.raises(InputError, match="auto, cpu or cuda. Got: 'gpu'"):
        pick_device("gpu")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    assert pick_device("auto").type == "cuda"
    with pytest.raises(InputError, match="'cuda:1'. Got: 1"):
        pick_device("cuda:1")
