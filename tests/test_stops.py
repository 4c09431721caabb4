"""Signals: the first lets a command end in order, the second ends it."""

import os
import signal
import subprocess
import sys
import threading
import time

import pytest

from fundus_uda.stops import SIGNALS, Stopped, reacting, stop

pytestmark = pytest.mark.usefixtures("signals")


def send(number: int) -> None:
    os.kill(os.getpid(), number)


@pytest.mark.parametrize("number", SIGNALS)
def test_the_first_signal_is_reacted_to_and_the_handlers_come_back(number):
    before, came = [signal.getsignal(each) for each in SIGNALS], []
    with reacting(came.append):
        send(number)
    assert came == [number]
    assert [signal.getsignal(each) for each in SIGNALS] == before


def test_a_command_that_can_stop_anywhere_is_stopped_as_by_ctrl_c():
    with pytest.raises(Stopped) as stopped, reacting(stop):
        send(signal.SIGTERM)
    assert stopped.value.number == signal.SIGTERM
    assert isinstance(stopped.value, KeyboardInterrupt)


def test_a_second_ctrl_c_interrupts():
    came = []

    def twice():
        with reacting(came.append):
            send(signal.SIGTERM)
            send(signal.SIGINT)

    with pytest.raises(KeyboardInterrupt) as raised:
        twice()
    assert came == [signal.SIGTERM]
    assert not isinstance(raised.value, Stopped)


def run(code: str, **options) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, **options
    )


def test_a_second_signal_leaves_at_once():
    result = run("""
import os, signal
from fundus_uda.stops import reacting
signal.signal(signal.SIGTERM, signal.SIG_DFL)
with reacting(lambda number: print("first", flush=True)):
    for _ in range(2):
        os.kill(os.getpid(), signal.SIGTERM)
    print("never")
""")
    assert (result.returncode, result.stdout) == (-signal.SIGTERM, "first\n")


def test_what_a_shell_lets_a_command_ignore_stays_ignored():
    result = run("""
import os, signal
from fundus_uda.stops import reacting
signal.signal(signal.SIGINT, signal.SIG_IGN)
with reacting(print):
    os.kill(os.getpid(), signal.SIGINT)
""")
    assert (result.returncode, result.stdout) == (0, "")


def test_another_thread_has_no_signals_to_react_to():
    handlers = []

    def work():
        with reacting(stop):
            handlers.append(signal.getsignal(signal.SIGTERM))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert handlers == [signal.getsignal(signal.SIGTERM)]


def is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_a_child_leaves_signals_to_its_parent_and_ends_with_it():
    """Not even a killed parent leaves it behind."""
    parent = subprocess.Popen(
        [sys.executable, "-c", """
import os, signal, time
from fundus_uda.stops import SIGNALS, follow_parent
child = os.fork()
if child:
    time.sleep(60)
else:
    follow_parent()
    for number in SIGNALS:
        os.kill(os.getpid(), number)
    print(os.getpid(), flush=True)
    time.sleep(60)
"""],
        stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert parent.stdout is not None
    child = int(parent.stdout.readline())
    assert is_running(child)
    parent.kill()
    parent.wait()
    for _ in range(200):
        if not is_running(child):
            break
        time.sleep(0.1)
    assert not is_running(child)
