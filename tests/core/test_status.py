"""The snapshot is the contract's object in every phase."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from ocdsup.core import events as ev
from ocdsup.core.faults import FAULTS
from ocdsup.core.state import Fault, Phase
from ocdsup.core.status import Clock, whole

if TYPE_CHECKING:
    from tests.core.conftest import Bench

KEYS = {
    "name", "desired", "phase", "since_s", "summary", "fault", "rung", "tried", "next_try_s", "advice",
    "probe", "backend", "targets", "ports", "recoveries", "counters",
}  # fmt: skip


def test_a_ready_bench_shows_everything_the_contract_names(up: Bench) -> None:
    up.say(ev.VoltageSeen(1, 3.25), ev.SessionsChanged((1,), True), ev.TargetSeen(1, "stm32f4x.cpu", "halted"))
    shown = up.snapshot()
    assert set(shown) == KEYS
    assert (shown["phase"], shown["desired"], shown["summary"], shown["fault"]) == ("ready", "up", "ready on :3333", None)
    expected = {"name": "stm32f4x.cpu", "state": "halted", "gdb_port": 3333, "gdb_sessions": 1, "fault": None}
    assert shown["targets"] == [expected]
    assert set(shown["backend"]) >= {"pid", "version", "argv", "uptime_s", "restarts", "voltage"}
    assert shown["backend"]["voltage"] == 3.25
    assert set(shown["counters"]) == {"restarts", "recoveries", "evictions", "looks", "findings"}
    json.dumps(shown)


def test_a_bench_that_was_never_started_is_shown_too(bench: Bench) -> None:
    shown = bench.snapshot()
    assert (shown["phase"], shown["desired"], shown["backend"], shown["targets"]) == ("stopped", "down", None, [])


def test_clearing_is_recovering_during_a_recovery_and_starting_otherwise(up: Bench) -> None:
    up.say(ev.RestartAsked())
    assert (up.phase(), up.snapshot()["phase"]) == (Phase.CLEARING, "starting")
    up.dies()
    up.comes_up()
    up.poll_fails(3)
    assert (up.phase(), up.snapshot()["phase"]) == (Phase.CLEARING, "recovering")
    assert up.snapshot()["rung"] == "restart-under-reset"
    assert up.snapshot()["summary"] == "recovering from target-poll-failing: restart-under-reset"


@pytest.mark.parametrize(("verb", "phase"), [(ev.StopAsked(), "stopped"), (ev.LendAsked("x"), "lent")])
def test_stopping_is_called_by_its_goal_and_says_that_openocd_is_still_going(up: Bench, verb: ev.Event, phase: str) -> None:
    up.say(verb)
    assert up.snapshot()["phase"] == phase
    assert up.snapshot()["summary"] == "stopping OpenOCD (PID 4001)"


def test_a_back_off_says_when_the_next_try_comes_and_why(bench: Bench) -> None:
    bench.say(ev.StartAsked())
    for _ in range(3):
        bench.dies()
    shown = bench.snapshot()
    assert (shown["phase"], shown["next_try_s"]) == ("backoff", 0.5)
    assert shown["summary"].startswith("waiting 0.5 s for the next try: backend-exited: OpenOCD ended by itself")


def test_a_finished_recovery_has_its_date_fault_rungs_and_duration(up: Bench) -> None:
    up.dies()
    up.now += 0.41
    up.comes_up()
    assert up.snapshot()["recoveries"] == [
        {
            "at": "2027-01-15T07:59:59+00:00",
            "fault": "backend-exited",
            "rungs": ["restart"],
            "took_s": 0.41,
            "outcome": "recovered",
        }
    ]


def test_what_could_not_be_looked_at_is_advice_only_when_somebody_holds_the_probe(bench: Bench) -> None:
    bench.say(ev.StartAsked())
    bench.dies("probe-held")
    bench.say(ev.HoldersSeen((), "PID 9 of root: no right to read it"))
    assert "not every process could be looked at: PID 9 of root: no right to read it" in bench.snapshot()["advice"]
    bench.say(ev.ProbeSeen(ev.Presence.ABSENT, "nothing is there"))
    assert bench.code() == "probe-absent"
    assert not any("looked at" in step for step in bench.snapshot()["advice"])


def test_an_age_becomes_a_date_by_one_reading_of_both_clocks() -> None:
    assert Clock(now=100.0, wall=1_800_000_000.0).date(40.0) == "2027-01-15T07:59:00+00:00"


def test_the_daemon_stands_around_its_benches(up: Bench) -> None:
    shown = whole([up.snapshot()], "0.1.0", 1, 12.34)
    assert (shown["ocdsup"], shown["pid"], shown["uptime_s"]) == ("0.1.0", 1, 12.3)
    assert [bench["name"] for bench in shown["benches"]] == ["nucleo"]


def test_a_held_core_is_advice_only_while_the_bench_is_up(up: Bench) -> None:
    up.state.held = True
    assert any("kept halted" in step for step in up.snapshot()["advice"])
    up.dies()
    assert not any("kept halted" in step for step in up.snapshot()["advice"])


def test_a_supply_that_was_too_low_says_when_it_is_measured_again(up: Bench) -> None:
    up.say(ev.LineFound(up.run, "target-voltage-low", "target-unpowered", "target voltage may be too low"))
    assert any("`ocdsup restart` measures it again" in step for step in up.snapshot()["advice"])


def test_a_long_wait_is_told_in_minutes(bench: Bench) -> None:
    bench.say(ev.StartAsked())
    bench.state.launches = tuple(bench.now - number for number in range(100, 90, -1))
    bench.dies("target-unpowered", "no supply")
    bench.say(ev.ProbeSeen(ev.Presence.PRESENT), ev.HoldersSeen(()))
    assert bench.snapshot()["summary"] == "waiting 3 min 20 s for the next try: target-unpowered: no supply"


def test_the_failures_of_the_worst_target_are_what_is_near_a_recovery(up: Bench) -> None:
    up.poll_fails(2)
    up.say(ev.LineFound(up.run, "target-poll-failed", "target-poll-failing", "Polling failed", "other.cpu"))
    assert up.snapshot()["summary"] == "degraded: 2 failed examination(s), 3 make a recovery"


def test_the_same_advice_is_given_once(up: Bench) -> None:
    up.state.fault = up.state.remark = Fault("target-unpowered", up.now, "")
    assert up.snapshot()["advice"] == list(FAULTS["target-unpowered"].advice)
