"""Ending the foreign processes that have the probe."""

from __future__ import annotations

import pytest

from ocdsup.core import events as ev
from ocdsup.core import evicting
from ocdsup.core.bench import step
from ocdsup.core.effects import EndHolder, Note, Profile
from ocdsup.core.state import Backend, Evicted, Fault, Phase, State
from ocdsup.core.turn import Turn

UP = (Phase.READY, Phase.DEGRADED)


def holder(pid: int, *, evict: bool) -> ev.HolderSeen:
    return ev.HolderSeen(pid, 100 + pid, "openocd", "bench", "10:00", evict, evict, "why")


def asked(turn: Turn) -> list[object]:
    return [effect for effect in turn.effects if not isinstance(effect, Note)]


def test_only_those_that_the_policy_lets_us_end_are_ended() -> None:
    turn = Turn(State(), 0.0)
    evicting.holders_seen(turn, ev.HoldersSeen((holder(1, evict=True), holder(2, evict=False)), "no right to see PID 9"))
    assert asked(turn) == [EndHolder(1, 101)]
    assert len(turn.state.holders) == 2
    assert turn.state.unseen == "no right to see PID 9"


def test_a_holder_that_is_seen_twice_is_ended_once() -> None:
    turn = Turn(State(), 0.0)
    for _ in range(2):
        evicting.holders_seen(turn, ev.HoldersSeen((holder(1, evict=True),)))
    assert asked(turn) == [EndHolder(1, 101)]


def test_who_was_ended_why_and_how_is_remembered_for_the_status() -> None:
    turn = Turn(State(), 7.0)
    for pid in range(1, 9):
        evicting.holders_seen(turn, ev.HoldersSeen((holder(pid, evict=True),)))
        evicting.holder_ended(turn, ev.HolderEnded(pid, ended=pid != 8, how="term" if pid != 7 else "gone", text=""))
    assert turn.state.evicted == tuple(Evicted(7.0, pid, "openocd", "bench", "why", "term") for pid in (2, 3, 4, 5, 6))


@pytest.mark.parametrize(("how", "again"), [("refused", False), ("left-alone", True)])
def test_who_resisted_is_not_tried_again_but_who_was_in_use_is_judged_anew(how: str, again: bool) -> None:
    turn = Turn(State(), 0.0)
    evicting.holders_seen(turn, ev.HoldersSeen((holder(1, evict=True),)))
    evicting.holder_ended(turn, ev.HolderEnded(1, ended=False, how=how, text="a GDB session is live"))
    assert [(one.evict, one.why) for one in turn.state.holders] == [(False, "a GDB session is live")]
    evicting.holders_seen(turn, ev.HoldersSeen((holder(1, evict=True),)))
    assert turn.state.holders[0].evict is again
    assert asked(turn) == [EndHolder(1, 101)] * (1 + again)


def test_a_pid_that_was_reused_is_another_holder() -> None:
    turn = Turn(State(refused=frozenset({(1, 55)})), 0.0)
    evicting.holders_seen(turn, ev.HoldersSeen((holder(1, evict=True),)))
    assert asked(turn) == [EndHolder(1, 101)]


@pytest.mark.parametrize("phase", [Phase.READY, Phase.DEGRADED, Phase.BACKOFF, Phase.FAILED])
@pytest.mark.parametrize(
    "first", [ev.HolderEnded(1, False, "left-alone", "a GDB session is live"), None], ids=["told", "untold"]
)
def test_a_person_may_ask_again_for_whom_the_first_time_did_not_end(phase: Phase, first: ev.HolderEnded | None) -> None:
    """The answer to the first may be lost, with a task that failed."""
    state = State(phase=phase, backend=Backend(1, Profile(), 0.0, pid=5, ready=True) if phase in UP else None)
    seen = ev.HoldersSeen((holder(1, evict=True),), forced=True)
    events: list[ev.Event] = [ev.EvictAsked(force=True), seen, *([first] if first else []), ev.EvictAsked(force=True), seen]
    effects: list[object] = []
    for event in events:
        state, done = step(state, event, 1.0)
        effects += [effect for effect in done if isinstance(effect, EndHolder)]
    assert effects == [EndHolder(1, 101)] * 2


def test_only_those_who_still_hold_the_probe_are_remembered_as_resisting() -> None:
    turn = Turn(State(), 0.0)
    for pid in range(1, 100):
        evicting.holders_seen(turn, ev.HoldersSeen((holder(1, evict=True), holder(100 + pid, evict=True))))
        for one in (1, 100 + pid):
            evicting.holder_ended(turn, ev.HolderEnded(one, ended=False, how="refused", text="no right to end it"))
    assert turn.state.refused == {(1, 101), (199, 299)}
    assert asked(turn).count(EndHolder(1, 101)) == 1


def test_a_rest_is_left_only_to_end_somebody() -> None:
    turn = Turn(State(phase=Phase.BLOCKED, fault=Fault("probe-held", 0.0, "")), 0.0)
    assert not evicting.evict_first(turn, ev.HoldersSeen((holder(1, evict=False),)))
    assert evicting.evict_first(turn, ev.HoldersSeen((holder(1, evict=True),)))
    assert turn.state.phase is Phase.CLEARING


@pytest.mark.parametrize(("was_bad", "streak"), [(True, 0), (False, 9)])
def test_a_holder_that_became_stale_while_we_waited_begins_the_ladder_anew(was_bad: bool, streak: int) -> None:
    turn = Turn(State(phase=Phase.BLOCKED, fault=Fault("probe-held", 0.0, ""), streak=9, world_was_bad=was_bad), 0.0)
    assert evicting.evict_first(turn, ev.HoldersSeen((holder(1, evict=True),)))
    assert turn.state.streak == streak


@pytest.mark.parametrize(("ended", "how", "streak"), [(True, "term", 0), (True, "gone", 9), (False, "refused", 9)])
def test_a_holder_that_was_ended_for_a_fact_takes_the_back_off_away(ended: bool, how: str, streak: int) -> None:
    turn = Turn(State(streak=9), 0.0)
    evicting.holders_seen(turn, ev.HoldersSeen((holder(1, evict=True),)))
    evicting.holder_ended(turn, ev.HolderEnded(1, ended=ended, how=how, text=""))
    assert turn.state.streak == streak
