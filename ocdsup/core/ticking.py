"""What the rows of the phase table do when time has passed: deadlines of phases, signals, heartbeats and rechecks."""

from __future__ import annotations

from ocdsup.core import events as ev
from ocdsup.core.casualties import look
from ocdsup.core.effects import Beat
from ocdsup.core.launching import afresh, default_profile, harsher, launch, recheck
from ocdsup.core.recovering import clear, overdue, trouble
from ocdsup.core.state import Phase
from ocdsup.core.timers import Timer, due
from ocdsup.core.turn import Turn


def _fired(turn: Turn) -> set[Timer]:
    fired = set(due(turn.state.timers, turn.now))
    turn.disarm(*fired)
    return fired


def nothing(turn: Turn, _event: ev.Tick) -> None:
    """No deadline counts in a phase at rest; one that was left over must not wake us again and again."""
    _fired(turn)


def tick_starting(turn: Turn, _event: ev.Tick) -> None:
    """A start that takes too long is a hang: nobody polite is at home."""
    if Timer.PHASE in _fired(turn):
        turn.stop_backend(hard=True)
        limit = turn.state.policy.start_timeout_s
        trouble(turn, "backend-hung", f"OpenOCD was not ready within {limit:g} s")


def tick_up(turn: Turn, _event: ev.Tick) -> None:
    """Heartbeats, the verdict on silence, and forgetting what is long past."""
    overslept = _overslept(turn)
    fired = _fired(turn)
    if Timer.HANG in fired and not overslept:
        _hung(turn)
        return
    if Timer.STABLE in fired:
        _stable(turn)
    if Timer.WINDOW in fired and not turn.state.dead:
        turn.go(Phase.READY)
    if Timer.LOOK in fired:
        look(turn)
    if Timer.BEAT in fired:  # also whenever we slept through the verdict on silence: it is the earlier one
        turn.arm(Timer.BEAT, turn.state.policy.beat_s)
        turn.do(Beat(turn.backend().run))
    if Timer.HANG in fired:
        turn.arm(Timer.HANG, turn.state.policy.beat_s)


def _overslept(turn: Turn) -> bool:
    """Whether it was us who were away (stopped, a suspended machine): then the silence proves nothing yet."""
    at = turn.state.timers.get(Timer.HANG)
    return at is not None and turn.now - at > turn.state.policy.beat_s


def _hung(turn: Turn) -> None:
    limit = turn.state.policy.silence_s(busy=turn.backend().busy)
    turn.stop_backend(hard=True)
    trouble(turn, "backend-hung", f"no sign of life from OpenOCD for {limit:g} s")


def _stable(turn: Turn) -> None:
    held = turn.state.held
    afresh(turn)
    turn.state.held = held  # a core that is kept halted has not shown yet that its firmware leaves the pins alone
    turn.state.profile = default_profile(turn)


def tick_curing(turn: Turn, _event: ev.Tick) -> None:
    """The mild cure did not come to an end."""
    if Timer.PHASE in _fired(turn):
        trouble(turn, "target-not-answering")


def tick_clearing(turn: Turn, _event: ev.Tick) -> None:
    """The next signal for our own backend, or no more patience with answers."""
    fired = _fired(turn)
    if Timer.STOP in fired:
        harsher(turn)
    if Timer.PHASE in fired and turn.state.phase is Phase.CLEARING:
        overdue(turn)


def tick_backoff(turn: Turn, _event: ev.Tick) -> None:
    """The pause is over."""
    if Timer.PHASE in _fired(turn):
        launch(turn)


def tick_blocked(turn: Turn, _event: ev.Tick) -> None:
    """Look at the obstacle again."""
    if Timer.RECHECK in _fired(turn):
        recheck(turn)


def tick_failed(turn: Turn, _event: ev.Tick) -> None:
    """One more try of a bench that was given up. Somebody else may have its board by now, so that is looked at first."""
    if Timer.RECHECK in _fired(turn):
        turn.state.profile = default_profile(turn)
        clear(turn, looks=True, once_more=True)


def tick_stopping(turn: Turn, _event: ev.Tick) -> None:
    """The next signal for a backend that has to go."""
    if Timer.STOP in _fired(turn):
        harsher(turn)
