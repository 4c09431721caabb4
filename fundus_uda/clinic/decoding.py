"""A child process that reads DICOM files, since damaged ones can crash or swell their decoder.

One child serves the whole process, one file at a time. If it dies, or takes too long, the file is
given up, and the next one gets a new child.
"""

import atexit
import contextlib
import os
import pickle
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from threading import Lock, Timer
from typing import Any

from fundus_uda.clinic.dicom_pixels import DicomPhotograph, count_frames, read_dicom
from fundus_uda.errors import InputError
from fundus_uda.stops import follow_parent

MEMORY = 4 * 2**30
"""Bytes of address space of the child, where the operating system can limit them."""
SECONDS = 120.0
"""Time for one file."""

_FUNCTIONS: dict[str, Callable[..., Any]] = {"count_frames": count_frames, "read_dicom": read_dicom}


class DecoderDiedError(Exception):
    """The child crashed on a file, or took too long for it."""


class _Child:
    """The child process, which is started when it is needed."""

    def __init__(self) -> None:
        self.lock = Lock()
        self.process: subprocess.Popen[bytes] | None = None

    def call(self, name: str, *arguments: Any) -> Any:
        """Call a function of `_FUNCTIONS` in the child.

        Raises:
            DecoderDiedError: see the class.
            InputError: as the function raises it.
            ValueError: the function raised anything else, whose text may quote a tag.
        """
        with self.lock:
            if self.process is None:
                self.process = _start()
            process, answer = self.process, None
            assert process.stdin is not None
            assert process.stdout is not None
            watch = Timer(SECONDS, process.kill)
            watch.start()
            try:
                pickle.dump((name, arguments), process.stdin)
                process.stdin.flush()
                answer = pickle.load(process.stdout)
            except (OSError, EOFError, pickle.UnpicklingError):
                self.stop()
                raise DecoderDiedError from None
            finally:
                watch.cancel()
                if answer is None:  # interrupted, so that the next answer would be this one
                    self.stop()
        kind, value = answer
        if kind == "refused":
            raise InputError(value)
        if kind == "failed":
            raise ValueError(value)
        return value

    def stop(self) -> None:
        """End the child, if there is one."""
        process, self.process = self.process, None
        if process is None:
            return
        process.kill()
        process.wait()
        for pipe in (process.stdin, process.stdout):
            assert pipe is not None
            with contextlib.suppress(OSError):  # what is not written yet has no reader any more
                pipe.close()


_child = _Child()
atexit.register(_child.stop)


def frames_of(path: Path) -> int:
    """Count the frames of a DICOM file in the child (see `dicom_pixels.count_frames`).

    Raises:
        DecoderDiedError, ValueError: the file cannot be read.
    """
    count: int = _child.call("count_frames", path)
    return count


def photograph_of(path: Path, frame: int) -> DicomPhotograph:
    """Read one frame of a DICOM file in the child (see `dicom_pixels.read_dicom`).

    Raises:
        DecoderDiedError, InputError, ValueError: the file cannot be read.
    """
    photograph: DicomPhotograph = _child.call("read_dicom", path, frame)
    return photograph


def serve() -> None:
    """Answer calls from standard input until it ends, in the child."""
    follow_parent()
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # a library that prints would break an answer
    _limit_memory()
    while True:
        try:
            name, arguments = pickle.load(sys.stdin.buffer)
        except EOFError:  # the parent is gone
            return
        try:
            answer = ("done", _FUNCTIONS[name](*arguments))
        except InputError as error:
            answer = ("refused", str(error))
        except Exception as error:  # a decoder may raise anything on damaged bytes
            answer = ("failed", type(error).__name__)
        pickle.dump(answer, answers, protocol=pickle.HIGHEST_PROTOCOL)
        answers.flush()


def _start() -> "subprocess.Popen[bytes]":
    """Start a child that finds modules where this process does, and is silent."""
    code = f"import sys; sys.path[:] = {sys.path!r}; from {__name__} import serve; serve()"
    return subprocess.Popen(
        [sys.executable, "-c", code],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )


def _limit_memory() -> None:
    try:
        import resource
    except ModuleNotFoundError:  # Windows
        return
    _, most = resource.getrlimit(resource.RLIMIT_AS)
    limit = MEMORY if most == resource.RLIM_INFINITY else min(MEMORY, most)
    resource.setrlimit(resource.RLIMIT_AS, (limit, most))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
