"""Where to compute."""

import torch

from fundus_uda.engine.errors import InputError


def pick_device(name: str) -> torch.device:
    """The device of that name; "auto" takes a GPU where there is one.

    Raises:
        InputError: unknown name, or a GPU that is not there.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if name == "cpu":
        return torch.device("cpu")
    if name.split(":")[0] != "cuda":
        raise InputError(f"Expected the device auto, cpu or cuda. Got: {name!r}.")
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    index = name.partition(":")[2] or "0"
    if not index.isdigit() or int(index) >= count:
        raise InputError(
            f"Expected a CUDA device for {name!r}. Got: {count} on this machine. "
            f"Use --device cpu, or install a CUDA build of torch and a driver."
        )
    return torch.device(name)
