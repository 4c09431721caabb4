"""Files of `torch.save` from anywhere: read without running code, and no larger than they are."""

import zipfile
from collections import Counter
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from fundus_uda.paths import require_no_stream

DEPTH, ENTRIES = 32, 1_000_000
"""Largest depth and number of nested entries that are read."""


class UnreadableError(ValueError):
    """What was found in place of a file of `torch.save`, in words for the user."""


def read_torch_file(path: Path, classes: tuple[Any, ...] = ()) -> Any:
    """Read the contents of a file on the CPU.

    An archive may announce more than it holds: entries that unpack to a thousand times the size of
    the file, tensors larger than their memory, or memory beyond that of an entry.

    Args:
        path: file to read.
        classes: harmless classes that may stand beside tensors (see
            `torch.serialization.safe_globals`).

    Raises:
        FileNotFoundError: no such file.
        UnreadableError: another kind of file, or a damaged or dishonest one.
    """
    try:
        require_no_stream(path)
        held = _bytes_of_storages(path)
        with torch.serialization.safe_globals(list(classes)):
            contents = torch.load(path, map_location="cpu", weights_only=True)
        _require_honest(contents, held, path.stat().st_size)
    except (FileNotFoundError, UnreadableError):
        raise
    except Exception as error:  # damaged bytes may raise anything
        # torch's message may advise loading the file unsafely, so it is not repeated.
        name = type(error).__name__
        raise UnreadableError(f"another kind of file, or a damaged one ({name})") from None
    return contents


def _bytes_of_storages(path: Path) -> Counter[int] | None:
    """Count the storages in an archive by their size in bytes; None for the format before 1.6.

    Raises:
        UnreadableError: the archive unpacks to more than its size.
    """
    if not zipfile.is_zipfile(path):
        return None
    with zipfile.ZipFile(path) as archive:
        entries = archive.infolist()
    unpacked, size = sum(entry.file_size for entry in entries), path.stat().st_size
    if unpacked > size:
        raise UnreadableError(f"one of {size} bytes that would unpack to {unpacked}")
    return Counter(entry.file_size for entry in entries if "/data/" in entry.filename)


def _require_honest(contents: Any, held: Counter[int] | None, size: int) -> None:
    """Check that every tensor is a plain one that lies in memory which the file holds.

    Raises:
        UnreadableError: another tensor, or too many or too deeply nested contents.
    """
    storages: dict[int, int] = {}
    level, entries = [contents], 0
    for _ in range(DEPTH):
        below: list[Any] = []
        for value in level:
            if isinstance(value, Tensor):
                if value.layout is not torch.strided or value.is_quantized or not value.is_cpu:
                    raise UnreadableError("a tensor without plain values")
                storage = value.untyped_storage()
                if value.numel() * value.element_size() > storage.nbytes():
                    raise UnreadableError("a tensor that repeats its values")
                storages[storage.data_ptr()] = storage.nbytes()
            elif isinstance(value, dict | list | tuple | set):
                below += value.values() if isinstance(value, dict) else value
        entries += len(below)
        if entries > ENTRIES:
            raise UnreadableError(f"more than {ENTRIES} entries")
        level = below
    if level:
        raise UnreadableError(f"contents nested more than {DEPTH} deep")
    found = Counter(number for number in storages.values() if number)
    if sum(storages.values()) > size or (held is not None and not found <= held):
        raise UnreadableError("tensors larger than the file holds")
