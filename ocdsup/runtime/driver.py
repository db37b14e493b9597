"""Drives one bench: events in, `step`, effects out, one timer for the earliest deadline."""

from __future__ import annotations

import asyncio
import traceback
from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Any

from ocdsup.core.bench import next_deadline, step
from ocdsup.core.effects import Effect, Note
from ocdsup.core.events import Event, Tick
from ocdsup.core.state import State

RETRY_S = 1.0  # a deadline whose step failed is tried again so much later, not at once and for ever

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
        self._tick_not_before = 0.0
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
            while self._inbox and not self._closed:
                self._turn(self._inbox.popleft())
        finally:
            self._busy = False
        self._rearm()

    def _turn(self, event: Event) -> None:
        before = self.state
        effects = self._step(event)
        if self.state.phase is not before.phase:
            self._log.info("phase_changed", old=before.phase.value, new=self.state.phase.value, event_type=type(event).__name__)
        for effect in effects:
            self._attempt(type(effect).__name__, partial(self._do, effect))
        self._attempt("Changed", partial(self._changed, before, self.state))

    def _step(self, event: Event) -> tuple[Effect, ...]:
        now = self._loop.time()
        effects: tuple[Effect, ...] = ()
        retry = 0.0
        try:
            self.state, effects = step(self.state, event, now)
        except Exception as error:  # noqa: BLE001  # a mistake of ours about one event must not end the care for the bench
            self._failed(type(event).__name__, error)
            retry = now + RETRY_S
        if isinstance(event, Tick):
            self._tick_not_before = retry
        return effects

    def _do(self, effect: Effect) -> None:
        if isinstance(effect, Note):
            self._log.info(effect.event, **effect.fields)
        else:
            self._perform(effect)

    def _attempt(self, about: str, work: Callable[[], None]) -> None:
        try:
            work()
        except Exception as error:  # noqa: BLE001  # nor must one effect that fails keep the others from being performed
            self._failed(about, error)

    def _failed(self, about: str, error: Exception) -> None:
        """Say where, in constants of ours only: the text of the exception may be a board's."""
        frame = traceback.extract_tb(error.__traceback__)[-1]
        where = f"{frame.filename.rpartition('ocdsup/')[2]}:{frame.lineno}"
        phase = self.state.phase.value
        self._log.error("bench.step_failed", about=about, phase=phase, error=type(error).__name__, where=where)

    def _rearm(self) -> None:
        at = next_deadline(self.state)
        if at is not None:
            at = max(at, self._tick_not_before)
        if at == self._timer_at or self._closed:
            return
        if self._timer is not None:
            self._timer.cancel()
        self._timer_at = at
        self._timer = None if at is None else self._loop.call_at(at, self._due)

    def _due(self) -> None:
        self._timer = None
        self._timer_at = None
        self.post(Tick())

    def late_s(self) -> float:
        """For how many seconds a decision has been overdue; 0.0 while none is."""
        at = None if self._closed else next_deadline(self.state)
        return 0.0 if at is None else max(0.0, self._loop.time() - at)

    def close(self) -> None:
        """Decide nothing any more, not even what waits already."""
        self._closed = True
        if self._timer is not None:
            self._timer.cancel()
