"""Deadlines by name."""

from __future__ import annotations

from ocdsup.core.timers import Timer, due, next_deadline


def test_due_timers_come_earliest_first_and_those_of_the_future_not_at_all() -> None:
    timers = {Timer.HANG: 3.0, Timer.BEAT: 1.0, Timer.PHASE: 3.0, Timer.STABLE: 3.1}
    assert list(due(timers, 3.0)) == [Timer.BEAT, Timer.HANG, Timer.PHASE]


def test_the_next_deadline_is_the_earliest_or_none() -> None:
    assert next_deadline({Timer.HANG: 3.0, Timer.BEAT: 1.0}) == 1.0
    assert next_deadline({}) is None
