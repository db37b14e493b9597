"""Verbs of people: each works in every phase, and none starts a second backend."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

from ocdsup.core import events as ev
from ocdsup.core.effects import EndHolder, Kill, Launch, LookForHolders, Profile, Terminate
from ocdsup.core.policy import Policy, UnderReset
from ocdsup.core.state import Phase

if TYPE_CHECKING:
    from tests.core.conftest import Bench

HOLDER = ev.HolderSeen(812, 99, "openocd", "bench", "2026-01-01T10:00:00+00:00", True, True, "its IDE is gone")


def starting(bench: Bench) -> None:
    bench.say(ev.StartAsked())


def ready(bench: Bench) -> None:
    bench.start()


def degraded(bench: Bench) -> None:
    bench.start()
    bench.poll_fails()


def curing(bench: Bench) -> None:
    bench.say(ev.StartAsked())
    bench.ready()
    bench.verified(answers=False)


def clearing(bench: Bench) -> None:
    bench.start()
    bench.poll_fails(3)


def evicting(bench: Bench) -> None:
    clearing(bench)
    bench.dies()
    bench.holders(HOLDER)


def waiting(bench: Bench) -> None:
    bench.say(ev.StartAsked())
    for _ in range(3):
        bench.born()
        bench.dies()


def blocked(bench: Bench) -> None:
    bench.say(ev.StartAsked())
    bench.dies("probe-absent")


def failed(bench: Bench) -> None:
    bench.say(ev.StartAsked())
    bench.dies("config-rejected")


def stopping(bench: Bench) -> None:
    bench.start()
    bench.say(ev.StopAsked())


def stuck(bench: Bench) -> None:
    stopping(bench)
    bench.wait(20.0)


PLACES: dict[Callable[[Bench], None], Phase] = {
    starting: Phase.STARTING,
    ready: Phase.READY,
    degraded: Phase.DEGRADED,
    curing: Phase.CURING,
    clearing: Phase.CLEARING,
    evicting: Phase.CLEARING,
    waiting: Phase.BACKOFF,
    blocked: Phase.BLOCKED,
    failed: Phase.FAILED,
    stopping: Phase.STOPPING,
    stuck: Phase.BLOCKED,
}
everywhere = pytest.mark.parametrize("arrive", PLACES, ids=lambda place: place.__name__)


@everywhere
def test_stop_ends_in_stopped_from_every_phase(bench: Bench, arrive: Callable[[Bench], None]) -> None:
    arrive(bench)
    assert bench.phase() is PLACES[arrive]
    bench.say(ev.StopAsked())
    if bench.state.backend is not None:
        bench.dies()
    assert bench.phase() is Phase.STOPPED
    assert bench.snapshot()["desired"] == "down"
    assert bench.wait(600.0) == []


@everywhere
def test_lend_frees_the_probe_from_every_phase_and_the_bench_comes_back(bench: Bench, arrive: Callable[[Bench], None]) -> None:
    arrive(bench)
    wanted = bench.state.wanted
    bench.say(ev.LendAsked("cargo run"))
    if bench.state.backend is not None:
        assert bench.phase() is not Phase.LENT
        bench.dies()
    assert bench.phase() is Phase.LENT
    assert bench.snapshot()["summary"] == "lent to cargo run"
    assert bench.wait(600.0) == []
    back = bench.say(ev.LendEnded())
    assert [type(e) for e in back] == ([Launch] if wanted else [])
    assert bench.phase() is (Phase.STARTING if wanted else Phase.STOPPED)


@everywhere
def test_restart_ends_in_a_plain_start_with_new_budgets_from_every_phase(bench: Bench, arrive: Callable[[Bench], None]) -> None:
    arrive(bench)
    asked = bench.say(ev.RestartAsked())
    if bench.state.backend is not None and Launch(bench.run, Profile()) not in asked:
        asked += bench.dies()
    assert [e for e in asked if isinstance(e, Launch)] == [Launch(bench.run, Profile())]
    assert bench.phase() is Phase.STARTING
    assert bench.state.streak == 0
    assert bench.state.tried == ()
    assert len(bench.state.launches) <= 1


@everywhere
def test_a_lend_that_ends_before_openocd_is_gone_is_no_lend(bench: Bench, arrive: Callable[[Bench], None]) -> None:
    arrive(bench)
    wanted = bench.state.wanted
    bench.say(ev.LendAsked("cargo run"), ev.LendEnded())
    if bench.state.backend is not None and bench.state.backend.signalled.value != 0:
        bench.dies()
    assert bench.phase() is (Phase.STARTING if wanted else Phase.STOPPED)
    assert bench.state.borrower is None


@everywhere
def test_a_restart_under_reset_starts_under_reset_from_every_phase(bench: Bench, arrive: Callable[[Bench], None]) -> None:
    arrive(bench)
    asked = bench.say(ev.RestartAsked(under_reset=True))
    if not any(isinstance(e, Launch) for e in asked):
        asked += bench.dies()
    assert [e for e in asked if isinstance(e, Launch)] == [Launch(bench.run, Profile(under_reset=True, after="run"))]


@pytest.mark.parametrize(
    ("verbs", "under_reset"),
    [
        ([ev.RestartAsked(under_reset=True), ev.StartAsked()], True),
        ([ev.RestartAsked(under_reset=True), ev.RestartAsked()], False),
        ([ev.RestartAsked(under_reset=True), ev.StopAsked(), ev.StartAsked()], False),
        ([ev.RestartAsked(under_reset=True), ev.LendAsked("st-flash"), ev.LendEnded()], True),
    ],
)
def test_while_openocd_is_going_the_last_word_about_the_reset_counts(
    bench: Bench, verbs: list[ev.Event], under_reset: bool
) -> None:
    stopping(bench)
    bench.say(*verbs)
    bench.dies()
    assert bench.state.profile.under_reset is under_reset
    bench.comes_up()
    bench.say(ev.StopAsked(), ev.StartAsked())
    bench.dies()
    assert bench.state.profile == Profile(), "a wish counts once"


def test_a_reset_that_was_asked_for_before_a_loan_is_done_after_it(bench: Bench) -> None:
    stopping(bench)
    bench.say(ev.RestartAsked(under_reset=True), ev.LendAsked("st-flash"))
    bench.dies()
    assert bench.phase() is Phase.LENT
    assert bench.say(ev.LendEnded()) == [Launch(2, Profile(under_reset=True, after="run"))]


def test_a_family_that_must_not_get_it_is_never_started_under_reset(make_bench: type[Bench]) -> None:
    bench = make_bench(Policy(under_reset=UnderReset.NEVER))
    bench.start()
    bench.say(ev.RestartAsked(under_reset=True))
    assert bench.dies() == [Launch(2, Profile())]
    assert "under_reset_refused" in [note.event for note in bench.notes]


def test_a_second_restart_while_the_old_backend_dies_launches_once(up: Bench) -> None:
    assert up.say(ev.RestartAsked()) == [Terminate(1)]
    assert up.say(ev.RestartAsked()) == []
    assert up.dies() == [Launch(2, Profile())]


def test_a_stop_is_taken_back_by_a_start_before_openocd_is_gone(up: Bench) -> None:
    up.say(ev.StopAsked(), ev.StartAsked())
    assert up.phase() is Phase.STOPPING
    assert up.dies() == [Launch(2, Profile())]


@pytest.mark.parametrize(
    ("core", "session", "after"), [("halted", False, "hold"), ("running", False, "resume"), ("running", True, "hold")]
)
def test_after_a_loan_the_core_is_as_it_was_before(bench: Bench, core: str, session: bool, after: str) -> None:
    bench.say(ev.StartAsked())
    bench.ready()
    bench.verified(core)
    bench.say(ev.SessionsChanged((1,), halted=session), ev.LendAsked("cargo run"))
    bench.dies()
    bench.say(ev.LendAsked("st-flash"))
    assert bench.snapshot()["summary"] == "lent to st-flash"
    assert bench.say(ev.LendEnded()) == [Launch(2, Profile(after=after))]
    bench.say(ev.LendAsked("again, too early"))
    bench.dies()
    assert bench.say(ev.LendEnded()) == [Launch(3, Profile(after=after))]
    bench.comes_up()
    assert bench.state.profile == Profile()


def test_a_bench_that_always_starts_under_reset_does_so_after_a_loan(make_bench: type[Bench]) -> None:
    bench = make_bench(Policy(under_reset=UnderReset.ALWAYS))
    bench.start()
    bench.say(ev.LendAsked("cargo run"))
    bench.dies()
    assert bench.say(ev.LendEnded()) == [Launch(2, Profile(under_reset=True, after="run"))]


def test_a_stop_while_lent_holds_after_the_lend(up: Bench) -> None:
    up.say(ev.LendAsked("cargo run"))
    up.dies()
    up.say(ev.StopAsked(), ev.LendEnded())
    assert up.phase() is Phase.STOPPED


def test_a_restart_while_lent_waits_for_nobody_and_changes_nothing(up: Bench) -> None:
    up.say(ev.LendAsked("cargo run"))
    up.dies()
    assert up.say(ev.RestartAsked()) == []
    assert up.phase() is Phase.LENT


def test_a_start_of_a_running_bench_changes_nothing(up: Bench) -> None:
    before = up.state
    assert up.say(ev.StartAsked()) == []
    assert up.state is before


def test_an_interrupted_recovery_stays_in_the_history(bench: Bench) -> None:
    clearing(bench)
    bench.say(ev.RestartAsked())
    assert bench.state.history[-1].outcome == "interrupted"


def test_evicting_while_ready_ends_the_holders_and_leaves_the_backend_alone(up: Bench) -> None:
    assert up.say(ev.EvictAsked(force=True)) == [LookForHolders(force=True)]
    assert up.holders(HOLDER) == [EndHolder(812, 99)]
    assert [h["pid"] for h in up.snapshot()["probe"]["holders"]] == [812]
    assert up.say(ev.HolderEnded(812, True, "term", "")) == []
    assert up.phase() is Phase.READY
    assert up.snapshot()["probe"]["holders"] == []
    assert up.snapshot()["counters"]["evictions"] == 1


def test_evicting_while_waiting_for_a_held_probe_ends_the_wait(bench: Bench) -> None:
    bench.say(ev.StartAsked())
    for _ in range(3):
        bench.dies("probe-held")
        bench.say(ev.ProbeSeen(ev.Presence.PRESENT), ev.HoldersSeen(()))
    assert bench.phase() is Phase.BACKOFF
    bench.say(ev.EvictAsked())
    assert bench.holders(HOLDER) == [EndHolder(812, 99)]
    assert bench.say(ev.HolderEnded(812, True, "term", "")) == [Launch(4, Profile())]


def test_evicting_while_stopped_ends_nobody(bench: Bench) -> None:
    assert bench.say(ev.EvictAsked()) == []


@pytest.mark.parametrize(("relaunch", "asked"), [(False, []), (True, [Terminate(1)])])
def test_a_new_configuration_restarts_openocd_only_when_it_must(up: Bench, relaunch: bool, asked: list[object]) -> None:
    assert up.say(ev.PolicyChanged(Policy(failures=5), relaunch)) == asked
    assert up.state.policy.failures == 5


def test_a_bench_that_had_given_up_tries_again_with_a_new_configuration(bench: Bench) -> None:
    failed(bench)
    assert bench.say(ev.PolicyChanged(Policy(), relaunch=False)) == [Launch(2, Profile())]


def test_a_new_configuration_does_not_start_a_bench_that_is_down_or_lent(bench: Bench) -> None:
    assert bench.say(ev.PolicyChanged(Policy(), relaunch=True)) == []
    bench.say(ev.StartAsked(), ev.LendAsked("cargo run"))
    bench.dies()
    assert bench.say(ev.PolicyChanged(Policy(), relaunch=True)) == []


def test_nothing_is_launched_beside_an_openocd_that_even_sigkill_does_not_end(bench: Bench) -> None:
    bench.start()
    bench.say(ev.StopAsked())
    assert bench.wait(7.0) == [Kill(1)]
    bench.wait(7.0)
    for verb in (ev.StartAsked(), ev.RestartAsked(), ev.PolicyChanged(Policy(), relaunch=True), ev.EvictAsked()):
        assert [e for e in bench.say(verb) if isinstance(e, Launch)] == []
        assert (bench.phase(), bench.code()) == (Phase.BLOCKED, "probe-wedged")
    assert bench.holders(HOLDER) == [EndHolder(812, 99)]
    bench.say(ev.HolderEnded(812, True, "kill", ""))
    assert bench.phase() is Phase.BLOCKED
    assert bench.dies() == [Launch(2, Profile())]
