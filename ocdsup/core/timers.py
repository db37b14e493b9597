"""Named deadlines. One table, so that none is forgotten and none fires for a phase that is over."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from enum import Enum


class Timer(Enum):
    """What a bench waits for. The values name the deadline in status and journal."""

    PHASE = "phase"  # the present phase may not last longer
    BEAT = "beat"  # ask for the next sign of life
    HANG = "hang"  # no sign of life until then: the backend is hung
    STABLE = "stable"  # up for so long: the ladder starts from its foot again
    STOP = "stop"  # the backend should be gone by now: next, harsher signal
    RECHECK = "recheck"  # look again at what blocks the bench
    WINDOW = "window"  # a single failed examination is forgotten
    LOOK = "look"  # look again at the targets that are dead while others are well


Timers = Mapping[Timer, float]


def due(timers: Timers, now: float) -> Iterator[Timer]:
    """The timers whose deadline has come, earliest first."""
    return iter(sorted((t for t, at in timers.items() if at <= now), key=lambda t: (timers[t], t.value)))


def next_deadline(timers: Timers) -> float | None:
    """The earliest deadline, or None when nothing is waited for."""
    return min(timers.values(), default=None)
