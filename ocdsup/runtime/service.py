"""The daemon as its service manager sees it: when it is ready, how it is, that it lives, and that it needs longer.

The watchdog is fed from the event loop, so a loop that is blocked starves it; and only while every bench decides in time, so
that one whose deadlines pass without a decision is not hidden behind a loop that turns.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from ocdsup.core.state import Phase, State
from ocdsup.runtime.systemd import Notify

BEAT_S = 5.0  # at most; a watchdog of less than three of them is fed more often
LATE_S = 10.0  # a deadline that passed so long ago without a decision means that a bench is dead
START_S = 60.0  # for a start beyond what the configuration gives OpenOCD: questions to it, looks at USB, holders that are ended
END_S = 10.0  # for the end beyond what the configuration gives OpenOCD: sessions that are told, looks that are under way
FLASH_LIMIT_S = 300.0  # what a stop waits for at most before it cuts a write to flash memory off
FLASH_LOOK_S = 0.5  # what a person has OpenOCD do is seen by looking
_UNSETTLED = frozenset({Phase.STARTING, Phase.CLEARING, Phase.CURING, Phase.STOPPING})


@dataclass(frozen=True, slots=True)
class Vital:
    """One bench: its line for a person, whether there is a verdict, how late its next decision is, whether it writes flash.

    `start_s` is how many seconds it may take to a verdict at most, `end_s` to the end of its OpenOCD.
    """

    name: str
    summary: str
    settled: bool
    late_s: float
    flashing: bool
    start_s: float = START_S
    end_s: float = 0.0


def settled(state: State) -> bool:
    """Whether there is a verdict about a bench: it is usable, or it is known why not."""
    return state.fault is not None or state.phase not in _UNSETTLED


def watchdog_s(environment: Mapping[str, str], pid: int) -> float | None:
    """Seconds of silence after which the manager ends this process (sd_watchdog_enabled(3)); None without a watchdog."""
    text = environment.get("WATCHDOG_USEC", "")
    meant = environment.get("WATCHDOG_PID", str(pid)) == str(pid)
    return int(text) / 1e6 if meant and text.isascii() and text.isdecimal() and int(text) > 0 else None


class Service:
    """Speaks to the manager; `look` returns the present state of every bench."""

    def __init__(self, notify: Notify, look: Callable[[], Sequence[Vital]], log: Any) -> None:
        self._notify = notify
        self._look = look
        self._log = log
        self._loop = asyncio.get_running_loop()
        watchdog = watchdog_s(os.environ, os.getpid())
        self._watched = watchdog is not None
        self._every = min(BEAT_S, watchdog / 3) if watchdog is not None else BEAT_S
        self._notes: tuple[str, ...] = ()
        self._started: float | None = None
        self._impatient = False
        self._stopping = False
        self._reloading = False
        self._ready = False
        self._owed = False
        self._stuck: tuple[str, ...] = ()
        self._timer: asyncio.TimerHandle | None = None
        self._news = asyncio.Event()

    def start(self) -> None:
        """Every bench was told to start: feed the watchdog, and be ready when there is a verdict about each."""
        self._started = self._loop.time()
        self._beat()
        self.changed()

    @property
    def ready(self) -> bool:
        """Whether there was a verdict about each bench of the start."""
        return self._ready

    def noted(self, notes: Sequence[str]) -> None:
        """What the line of `systemctl status` is to say besides the benches."""
        self._notes = tuple(notes)
        self._say(self._look())

    def _say(self, vitals: Sequence[Vital]) -> None:
        benches = [f"{vital.name} {vital.summary}" for vital in vitals] or ["no benches"]
        self._notify.status(" · ".join([*benches, *self._notes]))

    def changed(self) -> None:
        """A bench changed: the line of `systemctl status`, and READY once there is a verdict about each."""
        vitals = self._look()
        if not self._reloading or vitals:  # while a reload exchanges benches there may be none for a moment
            self._say(vitals)
        begun = self._started is not None and not self._stopping and not self._reloading
        if begun and not self._ready and all(vital.settled for vital in vitals):
            self._ready = True
            self._tell_ready()
            self._log.info("ready")
        self._news.set()

    def _tell_ready(self) -> None:
        """Say READY=1 with every beat until the manager has taken it: an unfinished start or reload times out there."""
        self._owed = not self._notify.send("READY=1")

    def _beat(self) -> None:
        self._timer = self._loop.call_later(self._every, self._beat)
        vitals = self._look()
        if self._owed and not self._stopping:
            self._tell_ready()
        if not self._ready and not self._stopping:
            self._await_start(vitals)
        stuck = tuple(vital.name for vital in vitals if vital.late_s > LATE_S)
        if stuck != self._stuck:
            self._stuck = stuck
            self._log.error("benches_stuck", benches=stuck) if stuck else self._log.info("benches_alive_again")
        if not stuck and self._watched:
            self._notify.send("WATCHDOG=1")

    def _await_start(self, vitals: Sequence[Vital]) -> None:
        """Ask for patience as long as a start may take; then the manager's own limit holds, and ends what does not get up."""
        took = self._loop.time() - (self._started or 0.0)
        if took < max((vital.start_s for vital in vitals), default=START_S):
            self._patience(4 * self._every)
        elif not self._impatient:
            self._impatient = True
            late = tuple(vital.name for vital in vitals if not vital.settled)
            self._log.error("start_takes_too_long", benches=late, took_s=round(took, 1))

    def _patience(self, seconds: float) -> None:
        self._notify.send(f"EXTEND_TIMEOUT_USEC={int(seconds * 1e6)}")

    @contextmanager
    def reloading(self) -> Iterator[None]:
        """Around a reload; the manager counts it as finished at the next READY, also when it was refused.

        One during the start is part of the start: READY is for when there is a verdict.
        """
        announced = self._ready and not self._stopping
        if announced:
            self._notify.send("RELOADING=1", f"MONOTONIC_USEC={int(self._loop.time() * 1e6)}")
        self._reloading = True
        try:
            yield
        finally:
            self._reloading = False
            if announced and not self._stopping:
                self._tell_ready()
            self.changed()

    async def stopping(self, hurry: asyncio.Event) -> None:
        """Say that the end has begun; let a write to flash memory finish first, unless `hurry` is set meanwhile."""
        self._stopping = True
        self._notify.send("STOPPING=1")
        end = self._loop.time() + FLASH_LIMIT_S
        told: tuple[str, ...] = ()
        while self._loop.time() < end and not hurry.is_set() and (busy := self._flashing()):
            if busy != told:
                self._log.info("stop_waits_for_flash", benches=busy)
            told = busy
            self._patience(4 * self._every)
            await self._next_news(hurry)
        if end_s := max((vital.end_s for vital in self._look()), default=0.0):
            self._patience(end_s + END_S)  # nothing changes as long as the manager's own limit is not over

    def _flashing(self) -> tuple[str, ...]:
        return tuple(vital.name for vital in self._look() if vital.flashing)

    async def _next_news(self, hurry: asyncio.Event) -> None:
        self._news.clear()
        waits = [asyncio.ensure_future(event.wait()) for event in (self._news, hurry)]
        await asyncio.wait(waits, timeout=FLASH_LOOK_S, return_when=asyncio.FIRST_COMPLETED)
        for wait in waits:
            wait.cancel()

    def close(self) -> None:
        """Feed nothing any more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
