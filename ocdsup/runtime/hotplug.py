"""Tells the benches that something came or went on USB: a probe that is pulled is noticed before OpenOCD stumbles over it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from typing import Protocol

from ocdsup.runtime import usb
from ocdsup.runtime.tasks import Tasks

POLL_S = 0.5
"""Where udev is not heard: half of the second within which an unplugged probe is to be `blocked`."""
SETTLE_S = (0.3, 0.4, 0.8, 1.5)
"""Pauses before the looks that follow a change: udev gives a node its rights a moment after sysfs has the device."""


class Bench(Protocol):
    """Whoever wants to know."""

    @property
    def has_usb(self) -> bool:
        """Whether its probe is on USB at all."""

    def bus_changed(self) -> None:
        """Look for the probe now."""


class HotPlug:
    """One watch of the bus for all benches; without a bench whose probe is on USB it sleeps."""

    def __init__(
        self, benches: Callable[[], Iterable[Bench]], tasks: Tasks, watch: Callable[[], usb.Watch] = usb.watch
    ) -> None:
        self._benches = benches
        self._tasks = tasks
        self._make = watch
        self._watch: usb.Watch | None = None
        self._polling: asyncio.TimerHandle | None = None
        self._settling: asyncio.Task[None] | None = None

    def begin(self) -> None:
        """Watch if any bench wants it; to be called again when benches came or went."""
        wanted = any(bench.has_usb for bench in self._benches())
        if wanted and self._watch is None:
            self._open()
        elif not wanted:
            self.close()

    def _open(self) -> None:
        self._watch = self._make()
        number = self._watch.fileno()
        if number is None:
            self._poll()
        else:
            asyncio.get_running_loop().add_reader(number, self._news)
        self._tell_all()  # what is there now: also for an OpenOCD that was taken over, and not started by us

    def _poll(self) -> None:
        self._polling = asyncio.get_running_loop().call_later(POLL_S, self._poll)  # first: a look that fails is not the last
        self._news()

    def _news(self) -> None:
        if self._watch is None or not self._watch.changed():
            return
        if self._settling is not None:
            self._settling.cancel()
        self._settling = self._tasks.spawn("hot-plug", self._tell())

    async def _tell(self) -> None:
        for pause in (0.0, *SETTLE_S):
            await asyncio.sleep(pause)
            self._tell_all()

    def _tell_all(self) -> None:
        for bench in self._benches():
            if bench.has_usb:
                bench.bus_changed()

    def close(self) -> None:
        """Watch no longer."""
        if self._watch is None:
            return
        number = self._watch.fileno()
        if number is not None:
            asyncio.get_running_loop().remove_reader(number)
        if self._polling is not None:
            self._polling.cancel()
        if self._settling is not None:
            self._settling.cancel()
        self._watch.close()
        self._watch = self._polling = self._settling = None
