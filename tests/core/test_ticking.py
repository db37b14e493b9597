"""Deadlines: starts and backends that hang, signals that do not help, answers that never come."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ocdsup.core import events as ev
from ocdsup.core.effects import Beat, Kill, Launch, LookForProbe, Profile, Terminate
from ocdsup.core.state import Phase
from ocdsup.core.timers import Timer

if TYPE_CHECKING:
    from tests.core.conftest import Bench


def test_silence_is_asked_about_and_then_ended_by_sigkill(up: Bench) -> None:
    assert up.wait(14.9) == [Beat(1)] * 4
    assert up.wait(0.2) == [Kill(1)]
    assert up.code() == "backend-hung"
    assert up.dies() == [Launch(2, Profile())]


def test_a_sign_of_life_puts_the_verdict_off(up: Bench) -> None:
    for _ in range(100):
        up.wait(14.0)
        up.say(ev.Alive(up.run))
    assert up.phase() is Phase.READY


def test_silence_that_we_slept_through_is_asked_about_first(up: Bench) -> None:
    up.now += 3600
    assert up.say(ev.Tick()) == [Beat(1)]
    assert up.phase() is Phase.READY
    assert up.wait(2.9) == []
    assert up.wait(0.2)[-1] == Kill(1)


def test_a_tick_that_comes_a_little_late_is_a_verdict_all_the_same(up: Bench) -> None:
    up.wait(14.9)
    up.now += 2.0
    assert Kill(1) in up.say(ev.Tick())


def test_a_start_that_takes_too_long_is_killed(bench: Bench) -> None:
    bench.say(ev.StartAsked())
    bench.born()
    assert bench.wait(15.0) == [Kill(1)]
    assert bench.code() == "backend-hung"
    assert bench.dies() == [Launch(2, Profile())]


def test_a_start_whose_core_never_answers_the_question_is_killed(bench: Bench) -> None:
    bench.say(ev.StartAsked())
    bench.ready()
    assert bench.wait(15.0) == [Kill(1)]


def test_a_cure_over_tcl_that_never_ends_did_not_work(bench: Bench) -> None:
    bench.say(ev.StartAsked())
    bench.ready()
    bench.verified(answers=False)
    assert bench.wait(5.0)[0] == Terminate(1)
    assert bench.phase() is Phase.CLEARING


def test_sigterm_then_sigkill_then_the_truth_and_never_a_second_backend(up: Bench) -> None:
    up.say(ev.RestartAsked())
    assert up.wait(7.0) == [Kill(1)]
    assert up.wait(7.0) == []
    assert (up.phase(), up.code()) == (Phase.BLOCKED, "probe-wedged")
    assert "beyond even SIGKILL" in up.snapshot()["fault"]["text"]
    asked = []
    for _ in range(60):
        asked += up.wait(1.0) + up.probe() + up.probe(ev.Presence.ABSENT, "")
    assert asked == [LookForProbe()] * 60
    assert up.dies() == [Launch(2, Profile())]


def test_a_launch_that_never_came_to_a_process_is_not_blamed_on_the_kernel(bench: Bench) -> None:
    bench.say(ev.StartAsked())
    bench.wait(15.0 + 7.0)
    assert (bench.phase(), bench.code()) == (Phase.BLOCKED, "probe-wedged")
    text = bench.snapshot()["fault"]["text"]
    assert (text.startswith("the launch that was given up has not ended"), "None" in text) == (True, False)
    assert bench.say(ev.LaunchFailed(1, "backend-exited", "the launch was given up")) == [Launch(2, Profile())]


def test_answers_that_never_come_do_not_hold_a_recovery_up_for_ever(up: Bench) -> None:
    up.poll_fails(3)
    assert up.dies() == []
    assert up.wait(18.9) == []
    assert up.wait(0.2) == [Launch(2, Profile(under_reset=True, after="run"))]


def test_a_bench_that_stays_up_has_its_ladder_and_back_off_as_new(up: Bench) -> None:
    up.dies()
    up.comes_up()
    assert up.state.streak == 1
    up.wait(10.0)
    assert (up.state.streak, up.state.tried) == (0, ())


def test_a_bench_that_stays_up_after_a_start_under_reset_starts_plainly_again(up: Bench) -> None:
    up.poll_fails(3)
    up.dies()
    up.probe()
    up.holders()
    up.comes_up()
    assert up.state.profile.under_reset
    up.wait(10.0)
    assert up.state.profile == Profile()


def test_deadlines_that_we_slept_through_in_one_go_tell_the_truth_once(up: Bench) -> None:
    up.poll_fails(3)
    up.wait(7.0)
    up.now += 3600
    up.say(ev.Tick())
    assert (up.phase(), up.code()) == (Phase.BLOCKED, "probe-wedged")
    assert set(up.state.timers) == {Timer.RECHECK}
    assert "clearing_overdue" not in [note.event for note in up.notes]


def test_a_tick_in_a_phase_at_rest_clears_what_was_left_over(bench: Bench) -> None:
    bench.state.timers = {Timer.BEAT: bench.now}
    bench.say(ev.Tick())
    assert bench.next_in() is None


def test_a_tick_that_comes_too_early_changes_nothing(up: Bench) -> None:
    before = up.state.timers
    assert up.say(ev.Tick()) == []
    assert up.state.timers == before
