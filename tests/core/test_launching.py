"""The decisions around a launch: budgets, rest, blame, and the end of a recovery."""

from __future__ import annotations

import pytest

from ocdsup.core import launching
from ocdsup.core.effects import Launch, Profile
from ocdsup.core.policy import Policy
from ocdsup.core.state import Backend, Fault, Phase, Recovery, Signalled, State
from ocdsup.core.timers import Timer
from ocdsup.core.turn import Turn


def turn(now: float = 100.0, **fields: object) -> Turn:
    state = State(wanted=True)
    for name, value in fields.items():
        setattr(state, name, value)
    return Turn(state, now)


def test_a_launch_beside_a_living_backend_is_a_mistake_of_ours() -> None:
    with pytest.raises(AssertionError, match="two backends would fight for one probe"):
        launching.launch(turn(backend=Backend(1, Profile(), 0.0)))


def test_launches_older_than_the_period_no_longer_count() -> None:
    busy = turn(1000.0, launches=tuple(float(at) for at in range(690, 700)))
    launching.launch(busy)
    assert busy.effects == [Launch(1, Profile())]
    assert busy.state.launches == (1000.0,)


def test_a_spent_intensity_waits_for_the_first_launch_to_grow_old() -> None:
    busy = turn(900.0, launches=tuple(float(at) for at in range(800, 810)), fault=Fault("target-not-answering", 0, ""))
    launching.launch(busy)
    assert busy.state.phase is Phase.BACKOFF
    assert busy.state.timers == {Timer.PHASE: 1100.0}


def test_a_renewed_launch_waits_for_whichever_comes_first_the_intensity_or_the_shortest_pause() -> None:
    fault = Fault("probe-absent", 0, "")
    for first, last, at in ((602.0, 899.0, 902.0), (800.0, 899.0, 904.0), (800.0, 880.0, None)):
        busy = turn(900.0, launches=(first, *[last] * 9), renewed=True, fault=fault)
        launching.launch(busy)
        assert busy.state.timers.get(Timer.PHASE) == (at if at else 900.0 + busy.state.policy.start_timeout_s)
        assert (busy.state.phase is Phase.STARTING) is (at is None)


def test_what_the_pc_has_renewed_counts_for_one_launch() -> None:
    busy = turn(900.0, launches=tuple(float(at) for at in range(800, 810)), renewed=True)
    launching.launch(busy)
    assert (busy.state.phase, busy.state.renewed) == (Phase.STARTING, False)


def test_a_new_backend_is_not_blamed_for_what_the_last_one_said() -> None:
    remark, failures = Fault("target-unpowered", 90.0, ""), ((99.0, "cpu"), (99.5, "cpu"))
    after = turn(100.0, remark=remark, failures=failures, lost=frozenset({"cpu"}), evidence=("line",))
    launching.launch(after)
    assert (after.state.remark, after.state.failures, after.state.lost, after.state.evidence) == (None, (), frozenset(), ())


def test_a_spent_intensity_that_frees_itself_this_instant_still_pauses() -> None:
    """0.3 - 0.1 < 0.2 in floats: without a least pause the same deadline would come again and again."""
    policy = Policy(restarts=1, period_s=0.2)
    busy = turn(0.3, policy=policy, launches=(0.1,))
    launching.launch(busy)
    assert busy.state.timers == {Timer.PHASE: pytest.approx(0.4)}


def test_the_same_fault_keeps_its_age_and_without_news_its_evidence() -> None:
    ill = turn(100.0, fault=Fault("probe-held", 7.0, "old", ("line",)))
    launching.blame(ill, "probe-held", "new")
    assert ill.state.fault == Fault("probe-held", 7.0, "new", ("line",))
    launching.blame(ill, "probe-absent")
    assert ill.state.fault is not None
    assert (ill.state.fault.since, ill.state.fault.evidence) == (100.0, ())


def test_the_history_keeps_the_newest_recoveries_only() -> None:
    old = turn()
    for number in range(30):
        old.state.recovery = Recovery(float(number), "backend-exited")
        launching.close_recovery(old, "recovered")
    assert [r.at for r in old.state.history] == [float(n) for n in range(10, 30)]
    assert old.state.recoveries == 30


@pytest.mark.parametrize("outcome", ["failed", "blocked", "stopped", "interrupted"])
def test_only_what_recovered_counts_as_a_recovery(outcome: str) -> None:
    old = turn(recovery=Recovery(90.0, "backend-exited"))
    launching.close_recovery(old, outcome)
    assert ([r.outcome for r in old.state.history], old.state.recoveries) == ([outcome], 0)


def test_only_what_even_sigkill_left_is_stuck() -> None:
    for signalled in Signalled:
        backend = Backend(1, Profile(), 0.0, signalled=signalled)
        assert launching.is_stuck(turn(backend=backend)) is (signalled is Signalled.STUCK)
    assert not launching.is_stuck(turn())
