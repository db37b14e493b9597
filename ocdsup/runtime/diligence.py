"""Whether an OpenOCD that answers nobody is at work with its probe: it waits for that again and again, a stuck one does not.

A command need not look like work: the flash write may stand in a procedure, or in a file that is sourced.
"""

from __future__ import annotations

from collections import deque

from ocdsup.runtime import procfs
from ocdsup.runtime.procs import WAITS_PER_S

WINDOW_S = 0.5  # shorter than this, one USB time-out would pass for work


class Diligence:
    """How often one process has waited, from heartbeat to heartbeat. Only what it did in silence counts.

    One that answers polls its target between two answers, and waits as often.
    """

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._samples: deque[tuple[float, int]] = deque()

    def beat(self, now: float, *, silent: bool) -> bool:
        """Take the next sample; `silent`: the last heartbeat has not been answered. Tells whether it is silent and at work."""
        if not silent:
            self._samples.clear()
        waits = procfs.read_waits(self._pid)
        if waits is None:
            return False
        self._samples.append((now, waits))
        while len(self._samples) > 1 and now - self._samples[1][0] >= WINDOW_S:
            self._samples.popleft()
        at, before = self._samples[0]
        return now - at >= WINDOW_S and waits - before >= WAITS_PER_S * (now - at)
