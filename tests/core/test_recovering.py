"""From a fault to the next cure."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from ocdsup.core import recovering
from ocdsup.core.events import HolderSeen, Presence, ProbeSeen
from ocdsup.core.state import Phase, Recovery, State
from ocdsup.core.turn import Turn

if TYPE_CHECKING:
    from tests.core.conftest import Bench


@pytest.mark.parametrize(
    ("presence", "code"),
    [
        (Presence.PRESENT, None),
        (Presence.UNKNOWN, None),
        (Presence.ABSENT, "probe-absent"),
        (Presence.AMBIGUOUS, "probe-absent"),
        (Presence.DENIED, "probe-denied"),
    ],
)
def test_what_a_look_at_the_bus_means(presence: Presence, code: str | None) -> None:
    assert recovering.bad_presence(ProbeSeen(presence)) == code


def test_a_holder_is_named_with_who_when_and_why() -> None:
    holder = HolderSeen(812, 99, "openocd", "bench", "10:00", False, False, "it has a live debug session")
    expected = "held by PID 812 openocd, user bench, since 10:00 (it has a live debug session)"
    assert recovering.held_text((holder,)) == expected


def test_a_rung_without_a_recovery_is_recorded_nowhere() -> None:
    turn = Turn(State(), 0.0)
    recovering.record(turn, "evict")
    assert turn.state.recovery is None


def test_endless_repeats_of_the_last_rung_are_recorded_once() -> None:
    turn = Turn(State(recovery=Recovery(0.0, "target-not-answering"), exhausted=True), 0.0)
    for _ in range(1000):
        recovering.record(turn, "restart-under-reset")
    assert turn.state.recovery is not None
    assert turn.state.recovery.rungs == ("restart-under-reset",)


def test_a_look_that_came_before_the_way_was_cleared_blocks_nothing(up: Bench) -> None:
    up.state.probe = ProbeSeen(Presence.ABSENT)
    up.dies()
    assert up.phase() is Phase.STARTING


def test_the_way_is_clear_only_when_everything_waited_for_is_over(up: Bench) -> None:
    up.poll_fails(3)
    assert up.state.waits == {"own", "probe", "holders"}
    up.probe()
    up.holders()
    assert up.phase() is Phase.CLEARING
    up.dies()
    assert up.phase() is Phase.STARTING
