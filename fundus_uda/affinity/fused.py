"""The affinity space in C++: built once, by the compiler that is there, into the user's cache.

`fused.cpp` needs a compiler of C++17 alone, no headers of torch or Python, and a second. (An
extension by `torch.utils.cpp_extension` would need both, and ninja.)
"""

import ctypes
import functools
import hashlib
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import torch
from torch import Tensor

from fundus_uda.affinity.neighbors import Offset

SOURCE = Path(__file__).with_name("fused.cpp")
FLAGS = (
    *("-O3", "-std=c++17", "-shared", "-fPIC", "-pthread"),
    *("-fno-math-errno", "-fno-trapping-math"),
)
FLAGS_OF_CAPABILITY = {
    "AVX2": ("-mavx2", "-mfma"),
    "AVX512": ("-mavx512f", "-mavx512dq", "-mavx512bw", "-mavx512vl", "-mfma"),
}
"""Flags by what torch finds in the processor, which is part of the library's name: machines may
share a home."""
LONGEST_BUILD = 120
"""Seconds after which a compiler is given up."""
SMALLEST_EPS = 1e-6
"""Bound of the clamp below which its complement is too close to 1 in float32."""
DTYPES = {torch.float32: "float32", torch.float64: "float64"}
PIXELS_OF_THREAD = 2**14
"""Values of the prediction for which a thread is worth its start."""


def which() -> str:
    """Say how the affinity space is computed on a CPU, after building it if that is due."""
    found = _found()
    return found if isinstance(found, str) else f"C++ ({torch.backends.cpu.get_cpu_capability()})"


def computes(prob: Tensor, eps: float) -> bool:
    """Check whether `forward` and `backward` can be used on a prediction.

    Only plain tensors have memory to work on: those that torch traces or counts have none.
    """
    return (
        prob.device.type == "cpu"
        and type(prob) in (Tensor, torch.nn.Parameter)
        and prob.dtype in DTYPES
        and eps >= SMALLEST_EPS
        and prob.numel() > 0
        and not torch.compiler.is_compiling()
        and isinstance(_found(), ctypes.CDLL)
    )


def forward(prob: Tensor, offsets: tuple[Offset, ...], eps: float) -> Tensor:
    """Map contiguous probabilities (B, C, H, W) to divergences (B, N, C, H, W)."""
    batch, *rest = prob.shape
    space = prob.new_empty(batch, len(offsets), *rest)
    _call("forward", (prob, space), offsets, eps)
    return space


def backward(prob: Tensor, grad: Tensor, offsets: tuple[Offset, ...], eps: float) -> Tensor:
    """Map a contiguous gradient (B, N, C, H, W) to that of the probabilities (B, C, H, W)."""
    out = torch.empty_like(prob)
    _call("backward", (prob, grad, out), offsets, eps)
    return out


def _call(name: str, tensors: tuple[Tensor, ...], offsets: tuple[Offset, ...], eps: float) -> None:
    library, prob = _found(), tensors[0]
    assert isinstance(library, ctypes.CDLL)
    assert all(tensor.is_contiguous() for tensor in tensors)
    function = getattr(library, f"{DTYPES[prob.dtype]}_{name}")
    number = ctypes.c_float if prob.dtype == torch.float32 else ctypes.c_double
    flat = [step for offset in offsets for step in offset]
    threads = min(torch.get_num_threads(), 1 + prob.numel() // PIXELS_OF_THREAD)
    function(
        *(ctypes.c_void_p(tensor.data_ptr()) for tensor in tensors),
        *map(ctypes.c_int64, prob.shape),
        ctypes.c_int64(len(offsets)),
        (ctypes.c_int64 * len(flat))(*flat),
        number(eps),
        number(1 - eps),
        ctypes.c_int64(threads),
    )


@functools.cache
def _found() -> ctypes.CDLL | str:
    """Load the library, after building it if it is not in the cache; or say why there is none."""
    if sys.platform == "win32":
        return "torch, since no compiler is looked for on Windows"
    try:
        source = SOURCE.read_bytes()
        capability = torch.backends.cpu.get_cpu_capability()
        flags = (*FLAGS, *FLAGS_OF_CAPABILITY.get(capability, ()))
        digest = hashlib.sha256(source + " ".join((*flags, platform.machine())).encode())
        file = _cache() / f"affinity-{digest.hexdigest()[:16]}.so"
        if not file.is_file():
            _build(file, flags)
        return ctypes.CDLL(str(file))
    except (OSError, subprocess.SubprocessError) as error:
        return f"torch, since {_reason(error)}"


def _cache() -> Path:
    """Return what `fundus_uda.paths.cache_folder` returns, which this package does not import."""
    if named := os.environ.get("FUNDUS_UDA_CACHE"):
        return Path(os.path.expanduser(named))
    caches = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(caches) / "fundus-uda"


def _build(file: Path, flags: tuple[str, ...]) -> None:
    """Build the library beside its place and rename it: several processes may do so at once."""
    compilers = [os.environ["CXX"]] if "CXX" in os.environ else ["c++", "g++", "clang++"]
    compiler = next(filter(None, map(shutil.which, compilers)), None)
    if compiler is None:
        raise FileNotFoundError(f"there is no compiler of C++ ({', '.join(compilers)})")
    file.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=file.parent) as folder:
        built = Path(folder) / file.name
        command = [compiler, *flags, str(SOURCE), "-o", str(built)]
        subprocess.run(command, check=True, capture_output=True, timeout=LONGEST_BUILD)
        built.replace(file)


def _reason(error: OSError | subprocess.SubprocessError) -> str:
    if isinstance(error, subprocess.CalledProcessError):
        told = error.stderr.decode(errors="replace").strip().splitlines() or ["no reason"]
        return f"{error.cmd[0]} failed: {told[0]}"
    return str(error)
