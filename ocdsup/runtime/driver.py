"""Drives one bench: events in, `step`, effects out, one timer for the earliest deadline."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Any

from ocdsup.core.bench import next_deadline, step
from ocdsup.core.effects import Effect, Note
from ocdsup.core.events import Event, Tick
from ocdsup.core.state import State

Perform = Callable[[Effect], None]
Changed = Callable[[State, State], None]


class Driver:
    """Owns the state of one bench. `post` may be called from any callback of the loop, also from within an effect."""

    def __init__(self, state: State, perform: Perform, changed: Changed, log: Any) -> None:
        self.state = state
        self._perform = perform
        self._changed = changed
        self._log = log
        self._inbox: deque[Event] = deque()
        self._busy = False
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at: float | None = None
        self._closed = False

    def post(self, event: Event) -> None:
        """Decide about `event` now, after those already waiting. There is no await between reading and changing the state."""
        if self._closed:
            return
        self._inbox.append(event)
        if self._busy:
            return
        self._busy = True
        try:
            while self._inbox:
                self._turn(self._inbox.popleft())
        finally:
            self._busy = False
        self._rearm()

    def _turn(self, event: Event) -> None:
        before = self.state
        self.state, effects = step(before, event, self._loop.time())
        if self.state.phase is not before.phase:
            self._log.info("phase_changed", old=before.phase.value, new=self.state.phase.value, event_type=type(event).__name__)
        for effect in effects:
            if isinstance(effect, Note):
                self._log.info(effect.event, **effect.fields)
            else:
                self._perform(effect)
        self._changed(before, self.state)

    def _rearm(self) -> None:
        at = next_deadline(self.state)
        if at == self._timer_at:
            return
        if self._timer is not None:
            self._timer.cancel()
        self._timer_at = at
        self._timer = None if at is None else self._loop.call_at(at, self._due)

    def _due(self) -> None:
        self._timer = None
        self._timer_at = None
        self.post(Tick())

    def close(self) -> None:
        """Decide nothing any more."""
        self._closed = True
        if self._timer is not None:
            self._timer.cancel()
