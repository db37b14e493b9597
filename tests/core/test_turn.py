"""The working copy of one step."""

from __future__ import annotations

import pytest

from ocdsup.core.effects import Kill, Note, Profile, Terminate
from ocdsup.core.state import Backend, Phase, Signalled, State, Target
from ocdsup.core.timers import Timer
from ocdsup.core.turn import Turn


@pytest.fixture
def turn() -> Turn:
    state = State(phase=Phase.READY, backend=Backend(1, Profile(), 0.0), targets=(Target("cpu", "halted"),))
    return Turn(state, 100.0)


def test_a_phase_takes_its_deadlines_with_it_and_the_backend_keeps_its_own(turn: Turn) -> None:
    for timer in Timer:
        turn.arm(timer, 1.0)
    turn.go(Phase.DEGRADED)
    assert set(turn.state.timers) == {Timer.BEAT, Timer.HANG, Timer.STABLE, Timer.STOP, Timer.LOOK}
    turn.forget_backend()
    assert turn.state.timers == {}


def test_entering_the_present_phase_again_keeps_its_age(turn: Turn) -> None:
    turn.state.since = 40.0
    turn.go(Phase.READY)
    assert turn.state.since == 40.0
    turn.go(Phase.DEGRADED)
    assert turn.state.since == 100.0


def test_signals_only_get_harsher_and_none_is_sent_twice(turn: Turn) -> None:
    turn.stop_backend()
    turn.stop_backend()
    turn.stop_backend(hard=True)
    turn.stop_backend()
    assert turn.effects == [Terminate(1), Kill(1)]
    assert turn.backend().signalled is Signalled.KILL


def test_a_backend_that_is_gone_leaves_its_targets_unknown(turn: Turn) -> None:
    turn.forget_backend()
    assert turn.state.targets == (Target("cpu", "unknown"),)


def test_a_note_keeps_its_fields_apart_from_its_name(turn: Turn) -> None:
    turn.note("fault", text="{evil} %s")
    assert turn.effects == [Note("fault", {"text": "{evil} %s"})]
