"""From a fault to the next cure."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from ocdsup.core import recovering
from ocdsup.core.events import HolderSeen, Presence, ProbeSeen
from ocdsup.core.ladder import Need
from ocdsup.core.policy import AfterRecovery
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


def test_a_look_of_before_that_found_the_probe_is_kept_to_notice_a_replug(up: Bench) -> None:
    seen = up.state.probe = ProbeSeen(Presence.PRESENT, "", "1:7")
    up.poll_fails(3)
    assert up.state.probe is seen


def test_no_usb_cure_is_tried_while_the_last_one_sits_in_the_kernel(up: Bench) -> None:
    assert Need.USB in recovering._able(Turn(up.state, up.now))
    up.state.usb_stuck = "the kernel does not return from the reset"
    assert Need.USB not in recovering._able(Turn(up.state, up.now))


@pytest.mark.parametrize("after", AfterRecovery)
def test_a_core_that_must_run_is_never_held_at_its_reset_vector(up: Bench, after: AfterRecovery) -> None:
    up.state.policy = replace(up.state.policy, after_recovery=after)
    assert (Need.FREE_CORE in recovering._able(Turn(up.state, up.now))) is (after is not AfterRecovery.RUN)


def test_the_way_is_clear_only_when_everything_waited_for_is_over(up: Bench) -> None:
    up.poll_fails(3)
    assert up.state.waits == {"own", "probe", "holders"}
    up.probe()
    up.holders()
    assert up.phase() is Phase.CLEARING
    up.dies()
    assert up.phase() is Phase.STARTING
