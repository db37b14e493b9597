"""The whole decision: `step(state, event, now) -> (state, effects)`, and when it wants to be asked again."""

from __future__ import annotations

from copy import copy

from ocdsup.core import events as ev
from ocdsup.core.backend import IGNORED, TABLE
from ocdsup.core.effects import Effect
from ocdsup.core.state import State
from ocdsup.core.timers import next_deadline as _next
from ocdsup.core.turn import Turn


class ImpossibleStepError(AssertionError):
    """The table has no row for what happened, or an action left its row: a mistake of ours, never of the world."""


def step(state: State, event: ev.Event, now: float) -> tuple[State, tuple[Effect, ...]]:
    """Decide what `event` at monotonic time `now` (seconds) means. The given state is not changed.

    Raises ImpossibleStepError when the phase table does not cover the step.
    """
    run = getattr(event, "run", None)
    if run is not None and (state.backend is None or state.backend.run != run):
        return state, ()  # speaks of a backend that is gone
    row = TABLE.get((state.phase, type(event)))
    if row is None:
        if type(event) not in IGNORED:
            raise ImpossibleStepError(f"{type(event).__name__} in phase {state.phase.value} is not in the table")
        return state, ()
    turn = Turn(copy(state), now)
    row.action(turn, event)
    if turn.state.phase is not state.phase and turn.state.phase not in row.to:
        name = type(event).__name__
        raise ImpossibleStepError(f"{name} may not lead from {state.phase.value} to {turn.state.phase.value}")
    return turn.state, tuple(turn.effects)


def next_deadline(state: State) -> float | None:
    """Monotonic time at which `Tick` is due, or None while the bench rests."""
    return _next(state.timers)
