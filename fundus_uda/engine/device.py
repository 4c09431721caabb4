"""Device to compute on, and how the C library treats its memory."""

import ctypes
import os
import sys

import torch

from fundus_uda.errors import InputError
from fundus_uda.output import detail


def pick_device(name: str | torch.device) -> torch.device:
    """Return the device of a name; "auto" takes a CUDA GPU if there is one. A device is itself.

    The GPU of a Mac, "mps", is taken only if it is named, since nothing here is tested on one.

    Of the processes that torchrun begins on a machine, each takes a GPU of its own, unless the name
    has a number.

    Raises:
        InputError: unknown name, or a GPU that is not there.
    """
    if isinstance(name, torch.device):
        return name
    device = _device_of(name)
    detail(f"Computing on {device}, with {torch.get_num_threads()} threads.")
    return device


def _device_of(name: str) -> torch.device:
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    if name == "cpu":
        return torch.device("cpu")
    if name == "mps":
        if not torch.backends.mps.is_available():
            raise InputError(
                "Expected a Mac's GPU for 'mps'. Got: none that this torch can use. Use --device "
                "cpu, or install torch on macOS 14 or newer with an Apple processor."
            )
        return torch.device(name)
    kind, colon, number = name.partition(":")
    if kind != "cuda" or (colon and not number):
        raise InputError(f"Expected the device auto, cpu, cuda or mps. Got: {name!r}.")
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    local = os.environ.get("LOCAL_RANK")
    index = number or local or "0"
    if not index.isdecimal() or int(index) >= count:
        raise InputError(
            f"Expected a CUDA device for {name!r}. Got: {count} on this machine. "
            f"Use --device cpu, or install a CUDA build of torch and a driver."
        )
    return torch.device(name) if local is None else torch.device("cuda", int(index))


def configure(device: torch.device) -> None:
    """Set what torch leaves to its versions: on a GPU, TF32 for products and convolutions.

    Images of a run have one size, for which cuDNN's fastest algorithms are found by trial.
    """
    if device.type == "cuda":
        torch.set_float32_matmul_precision("high")
        torch.backends.cudnn.allow_tf32 = True
        torch.backends.cudnn.benchmark = True


def configuration(device: torch.device) -> dict[str, bool]:
    """Return what `configure` has set, for the record of a run; empty on a CPU."""
    if device.type != "cuda":
        return {}
    tf32 = torch.get_float32_matmul_precision() != "highest" and torch.backends.cudnn.allow_tf32
    return {"tf32": tf32, "cudnn_benchmark": torch.backends.cudnn.benchmark}


def retain_freed_memory() -> None:
    """Let the C library keep the memory of freed tensors, for the whole process.

    glibc maps large blocks anew and returns them at once, so each step on a CPU pays for zeroed
    pages. Results stay the same. Other C libraries are left alone.
    """
    if not sys.platform.startswith("linux"):
        return
    try:
        mallopt = ctypes.CDLL("libc.so.6").mallopt
    except (OSError, AttributeError):
        return
    most_mapped_blocks, trim_threshold = -4, -1  # M_MMAP_MAX, M_TRIM_THRESHOLD
    mallopt(most_mapped_blocks, 0)
    mallopt(trim_threshold, 2**31 - 1)
