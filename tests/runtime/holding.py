"""Processes that hold a device and do as they are told. `/dev/full` plays the probe's device node: a character device that

anybody may open and that next to nobody does.
"""

import threading
from collections.abc import Callable
from time import monotonic

from ocdsup.probes.eviction import Patience
from ocdsup.probes.holders import Holder, Report
from ocdsup.runtime import procfs
from ocdsup.runtime.procs import Wanted, find_holders

NODE = "/dev/full"
HURRY = Patience(shutdown_s=10, term_s=10, kill_s=10)
IMPATIENT = Patience(shutdown_s=0.3, term_s=0.3, kill_s=10)
HOLD = "import signal, sys, time\nprobe = open('/dev/full')\n"
WAIT = "print('ready', flush=True)\nwhile True: signal.pause()\n"

Start = Callable[..., int]


def until(condition: Callable[[], bool], seconds: float = 20.0) -> None:
    """Wait for a condition of the world that nobody announces."""
    end, pause = monotonic() + seconds, threading.Event()
    while not condition():
        assert monotonic() < end, "the condition never came true"
        pause.wait(0.01)


def holder_of(pid: int, what: Wanted, *, ask: bool = True) -> Holder:
    return next(holder for holder in find_holders(what, budget_s=10, ask=ask).holders if holder.pid == pid)


def pids(report: Report) -> set[int]:
    return {holder.pid for holder in report.holders}


def is_running(pid: int) -> bool:
    status = procfs.read_stat(pid)
    return status is not None and status.state != "Z"
