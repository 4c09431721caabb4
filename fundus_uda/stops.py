"""Signals that stop a command: SIGINT (Ctrl-C), SIGTERM, and SIGUSR1, the warning of SLURM."""

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

SIGNALS = tuple(
    signal.Signals[name]
    for name in ("SIGINT", "SIGTERM", "SIGUSR1")
    if name in signal.Signals.__members__  # Windows has no SIGUSR1
)


class Stopped(KeyboardInterrupt):
    """End of the work by a signal, with what was done saved.

    Args:
        number: number of the signal.
    """

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)
        self.number = number


def stop(number: int) -> None:
    """Raise `Stopped`, as the reaction of a command that can stop anywhere (see `reacting`)."""
    raise Stopped(number)


@contextmanager
def reacting(react: Callable[[int], None]) -> Iterator[None]:
    """React to the first signal of `SIGNALS` that comes inside; a second one leaves at once.

    Python lets the main thread alone react to signals; in another thread, nothing changes.

    Args:
        react: function of the signal's number, called between two operations of the main thread.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    handlers = {number: signal.getsignal(number) for number in SIGNALS}
    # A shell lets a command in its background ignore SIGINT.
    before = {n: handler for n, handler in handlers.items() if handler != signal.SIG_IGN}

    def first(number: int, frame: FrameType | None) -> None:
        for each in before:
            is_ctrl_c = each == signal.SIGINT  # whose exception gives the terminal back
            signal.signal(each, signal.default_int_handler if is_ctrl_c else signal.SIG_DFL)
        react(number)

    for number in before:
        signal.signal(number, first)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def follow_parent() -> None:
    """Let this child process leave the signals to its parent, and end within a second of it.

    Terminals, SLURM and systemd send a signal to children, too, whose death would break the step
    that the parent finishes. A parent that is killed cannot end its children.
    """
    parent = os.getppid()
    for number in SIGNALS:
        signal.signal(number, signal.SIG_IGN)

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(1)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
