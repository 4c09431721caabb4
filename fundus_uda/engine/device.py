"""Where to compute."""

import ctypes
import sys

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


def keep_freed_memory() -> None:
    """Let the C library keep the memory of freed tensors, for the whole process.

    glibc maps large blocks anew and hands them back at once, so that each step on a CPU pays for
    zeroed pages. Results stay the same. Nothing is done where the C library is another one.
    """
    if not sys.platform.startswith("linux"):
        return
    try:
        mallopt = ctypes.CDLL("libc.so.6").mallopt
    except (OSError, AttributeError):
        return
    most_mapped_blocks, trim_threshold = -4, -1  # of malloc.h
    mallopt(most_mapped_blocks, 0)
    mallopt(trim_threshold, 2**31 - 1)
