"""A backend's life: start, crash, failing polls, the ladder to a verified core."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from ocdsup.core import events as ev
from ocdsup.core.effects import (
    Effect,
    EndHolder,
    Examine,
    Launch,
    LookForHolders,
    LookForProbe,
    Profile,
    ResetUsb,
    RestoreResetConfig,
    Terminate,
    UsbCure,
    VerifyCore,
)
from ocdsup.core.launching import GIVEN_UP_S
from ocdsup.core.policy import AfterRecovery, Policy, UnderReset
from ocdsup.core.state import Phase
from ocdsup.core.timers import Timer

if TYPE_CHECKING:
    from tests.core.conftest import Bench

UNDER_RESET = Profile(under_reset=True, after="run")


def test_a_start_is_ready_only_when_the_core_was_verified(bench: Bench) -> None:
    assert bench.say(ev.StartAsked()) == [Launch(1, Profile())]
    assert bench.ready() == [VerifyCore(1)]
    assert bench.phase() is Phase.STARTING
    assert bench.verified() == []
    assert bench.phase() is Phase.READY


def test_a_crash_is_answered_by_a_plain_restart_at_once(up: Bench) -> None:
    assert up.dies() == [Launch(2, Profile())]
    assert up.code() == "backend-exited"
    up.comes_up()
    assert (up.phase(), up.code()) == (Phase.READY, None)
    assert up.state.history[-1].rungs == ("restart",)
    assert up.state.history[-1].outcome == "recovered"


def test_two_immediate_retries_then_the_pause_doubles_up_to_its_limit(make_bench: type[Bench]) -> None:
    bench = make_bench(Policy(restarts=100))
    bench.say(ev.StartAsked())
    pauses = []
    for _ in range(12):
        bench.born()
        bench.dies("target-unpowered")
        pauses.append(bench.next_in() if bench.phase() is Phase.BACKOFF else 0.0)
        if bench.phase() is not Phase.STARTING:
            bench.say(*_answers(bench))
            pauses[-1] = bench.next_in() if bench.phase() is Phase.BACKOFF else 0.0
        bench.wait(pauses[-1] or 0.0)
        assert bench.phase() is Phase.STARTING
    assert pauses == [0, 0, 0.5, 1, 2, 4, 8, 16, 30, 30, 30, 30]


def _answers(bench: Bench) -> list[ev.Event]:
    """The bus shows the probe and nobody holds it."""
    clearing = bench.phase() is Phase.CLEARING
    return [ev.ProbeSeen(ev.Presence.PRESENT, "", "1:7"), ev.HoldersSeen(())] if clearing else []


def test_repeated_failed_examinations_end_stale_holders_and_restart_under_reset(up: Bench) -> None:
    left_over = ev.HolderSeen(812, 99, "openocd", "bench", "2026-01-01T10:00:00+00:00", True, True, "its IDE is gone")
    assert up.poll_fails() == [LookForProbe()]
    assert up.phase() is Phase.DEGRADED
    assert up.poll_fails() == []
    assert up.poll_fails() == [Terminate(1), LookForProbe(), LookForHolders()]
    assert (up.phase(), up.code()) == (Phase.CLEARING, "target-poll-failing")
    assert up.holders(left_over) == [EndHolder(812, 99)]
    up.probe()
    assert up.dies() == []
    assert up.say(ev.HolderEnded(812, True, "term", "")) == [Launch(2, UNDER_RESET)]
    assert up.ready() == [VerifyCore(2)]
    assert up.verified() == [RestoreResetConfig(2)]
    assert up.phase() is Phase.READY
    assert up.state.history[-1].rungs == ("restart-under-reset", "evict")
    assert up.state.evictions == 1


@pytest.mark.parametrize(
    ("wish", "session_halted", "after"),
    [
        (AfterRecovery.AUTO, False, "run"),
        (AfterRecovery.AUTO, True, "halt"),
        (AfterRecovery.RUN, True, "run"),
        (AfterRecovery.HALT, False, "halt"),
    ],
)
def test_the_board_is_left_as_its_user_left_it(
    make_bench: type[Bench], wish: AfterRecovery, session_halted: bool, after: str
) -> None:
    bench = make_bench(Policy(after_recovery=wish))
    bench.start()
    bench.say(ev.SessionsChanged((1,), session_halted))
    bench.poll_fails(3)
    bench.say(*_answers(bench))
    assert bench.dies() == [Launch(2, Profile(under_reset=True, after=after))]


def test_an_outage_that_ends_by_itself_is_no_recovery(up: Bench) -> None:
    up.poll_fails(2)
    up.say(ev.LineFound(up.run, "target-recovered", None, "Examination succeed"))
    assert up.phase() is Phase.READY
    assert up.state.history == ()


def test_single_failures_further_apart_than_the_window_never_add_up(up: Bench) -> None:
    for _ in range(20):
        up.poll_fails(2)
        up.say(ev.Alive(up.run))
        assert up.phase() is Phase.DEGRADED
        up.wait(10.0)
        up.say(ev.Alive(up.run))
        assert up.phase() is Phase.READY


def test_failures_within_the_window_add_up_across_short_recoveries(up: Bench) -> None:
    for _ in range(2):
        up.poll_fails()
        up.say(ev.LineFound(up.run, "target-recovered", None, "Examination succeed"))
        up.wait(1.0)
    up.poll_fails()
    assert up.code() == "target-poll-failing"


def test_a_core_that_is_silent_after_a_start_is_examined_and_then_reached_under_reset(bench: Bench) -> None:
    bench.say(ev.StartAsked())
    bench.ready()
    assert bench.verified(answers=False) == [Examine(1)]
    assert bench.phase() is Phase.CURING
    assert bench.say(ev.Examined(1, False)) == [Terminate(1), LookForProbe(), LookForHolders()]
    bench.say(*_answers(bench))
    assert bench.dies() == [Launch(2, UNDER_RESET)]


def test_an_examination_that_works_saves_the_restart(bench: Bench) -> None:
    bench.say(ev.StartAsked())
    bench.ready()
    bench.verified(answers=False)
    assert bench.say(ev.Examined(1, True)) == [VerifyCore(1)]
    bench.verified()
    assert bench.phase() is Phase.READY
    assert bench.state.restarts == 0


def test_a_core_that_stays_in_reset_is_a_fault(bench: Bench) -> None:
    bench.say(ev.StartAsked())
    bench.ready()
    assert bench.verified("reset") == [Terminate(1)]
    assert bench.code() == "target-held-in-reset"


def _climb(bench: Bench) -> list[object]:
    """Let every cure fail at once; the starts and USB resets that were tried."""
    tried: list[object] = []
    for _ in range(10):
        asked = bench.poll_fails(3) + bench.say(*_answers(bench)) + bench.dies()
        if cures := [effect.how for effect in asked if isinstance(effect, ResetUsb)]:
            tried += cures
            asked += bench.say(ev.UsbWasReset(True, ""))
        asked += bench.wait((bench.next_in() or 0.0) + 0.001) if bench.phase() is Phase.BACKOFF else []
        tried += [e.profile for e in asked if isinstance(e, Launch)]
        bench.comes_up()
        assert bench.phase() is Phase.READY
    return tried


def test_the_ladder_of_a_board_that_fails_again_at_once(make_bench: type[Bench]) -> None:
    bench = make_bench(Policy(restarts=100))
    bench.start()
    slow = Profile(under_reset=True, speed_khz=240, after="run")
    held = Profile(under_reset=True, after="halt")
    climbed = [UNDER_RESET, UNDER_RESET, slow, held, Profile()]
    usb = [part for cure in UsbCure for part in (cure, Profile())]
    assert _climb(bench) == [*climbed, *usb, UNDER_RESET, UNDER_RESET]


def test_without_leave_to_reset_no_start_holds_nrst(make_bench: type[Bench]) -> None:
    bench = make_bench(Policy(restarts=100, under_reset=UnderReset.NEVER, usb_reset=False))
    bench.start()
    assert _climb(bench) == [Profile()] * 10


def test_a_bench_that_is_always_started_under_reset_never_stays_there(make_bench: type[Bench]) -> None:
    bench = make_bench(Policy(under_reset=UnderReset.ALWAYS))
    assert bench.say(ev.StartAsked()) == [Launch(1, UNDER_RESET)]
    assert bench.comes_up() == [VerifyCore(1), RestoreResetConfig(1)]


def test_a_core_held_at_its_reset_vector_is_told_and_survives_a_crash_of_openocd(make_bench: type[Bench]) -> None:
    bench = make_bench(Policy(restarts=100))
    bench.start()
    for _ in range(4):
        bench.poll_fails(3)
        bench.say(*_answers(bench))
        bench.dies()
        bench.wait(5.0) if bench.phase() is Phase.BACKOFF else None
        bench.comes_up()
    assert bench.state.held
    assert "held at its reset vector" in bench.snapshot()["summary"]
    bench.wait(14.0)
    bench.say(ev.Alive(bench.run))
    bench.dies()
    bench.comes_up()
    assert bench.state.held


@pytest.mark.parametrize("fault", ["config-rejected", "backend-missing"])
def test_a_configuration_that_cannot_work_fails_at_once(bench: Bench, fault: str) -> None:
    bench.say(ev.StartAsked())
    assert bench.say(ev.LaunchFailed(1, fault, "why")) == []
    assert (bench.phase(), bench.code()) == (Phase.FAILED, fault)
    assert bench.next_in() is None
    assert bench.say(ev.RestartAsked()) == [Launch(2, Profile())]
    assert bench.dies(fault) == []
    assert bench.phase() is Phase.FAILED


def test_openocd_that_always_crashes_is_given_up_when_the_intensity_is_spent(bench: Bench) -> None:
    bench.say(ev.StartAsked())
    for _ in range(10):
        bench.born()
        bench.dies()
        bench.say(*_answers(bench))
        bench.wait(30.0) if bench.phase() is Phase.BACKOFF else None
    assert (bench.phase(), bench.code(), bench.run) == (Phase.FAILED, "backend-exited", 10)
    assert bench.state.history[-1].outcome == "failed"


def given_up(bench: Bench) -> None:
    """Bring a bench to where its intensity is spent on an OpenOCD that crashes."""
    bench.say(ev.StartAsked())
    bench.state.launches = tuple(bench.now - number for number in range(10))
    bench.born()
    bench.dies()
    assert bench.phase() is Phase.FAILED


def tried_again(bench: Bench, after_s: float = GIVEN_UP_S) -> list[Effect]:
    """Wait for the next try; what was asked for when the way was seen to be free."""
    assert bench.wait(after_s) == [LookForProbe(), LookForHolders()]
    return bench.say(*_answers(bench))


def test_what_was_given_up_is_not_tried_while_somebody_else_has_the_probe(bench: Bench) -> None:
    """Two programs can open some probes, and a start under reset would reset the board that the other one debugs."""
    other = ev.HolderSeen(812, 99, "gdb", "bench", "2026-01-01T10:00:00+00:00", False, False, "a GDB session is live")
    given_up(bench)
    assert bench.wait(GIVEN_UP_S) == [LookForProbe(), LookForHolders()]
    assert bench.say(ev.ProbeSeen(ev.Presence.PRESENT, "", "1:7"), ev.HoldersSeen((other,))) == []
    assert (bench.phase(), bench.code()) == (Phase.BLOCKED, "probe-held")
    bench.wait(2.0)
    assert bench.say(ev.HoldersSeen(())) == [Launch(2, Profile())]


def test_what_was_given_up_is_tried_when_the_looks_are_never_answered(bench: Bench) -> None:
    given_up(bench)
    assert bench.wait(GIVEN_UP_S + 20.0) == [LookForProbe(), LookForHolders(), Launch(2, Profile())]


def test_what_was_given_up_is_tried_once_every_ten_minutes_and_leaves_no_further_trace(bench: Bench) -> None:
    given_up(bench)
    bench.state.profile = UNDER_RESET
    history = bench.state.history
    assert bench.snapshot()["next_try_s"] == GIVEN_UP_S
    for again in (1, 2, 3):
        assert tried_again(bench) == [Launch(1 + again, Profile())]
        bench.born()
        assert bench.dies() == []
        assert (bench.phase(), bench.next_in()) == (Phase.FAILED, GIVEN_UP_S)
    assert bench.state.history == history


def test_what_was_given_up_is_tried_no_sooner_than_the_intensity_has_room(make_bench: type[Bench]) -> None:
    bench = make_bench(Policy(restarts=1, period_s=3700.0))
    given_up(bench)
    assert bench.wait(3699.0) == []
    assert tried_again(bench, 1.0) == [Launch(2, Profile())]


def test_what_was_given_up_and_has_healed_comes_up_and_counts_as_well_again_once_it_is_stable(bench: Bench) -> None:
    given_up(bench)
    tried_again(bench)
    bench.comes_up()
    assert (bench.phase(), bench.code()) == (Phase.READY, None)
    bench.wait(10.0)
    assert bench.dies() == [Launch(3, Profile())], "a crash much later is one like any other"


def test_what_was_given_up_and_crashes_again_before_it_is_stable_rests_at_once(bench: Bench) -> None:
    given_up(bench)
    tried_again(bench)
    bench.comes_up()
    assert bench.dies() == []
    assert bench.phase() is Phase.FAILED


def test_another_fault_at_the_try_of_what_was_given_up_has_its_own_way(bench: Bench) -> None:
    given_up(bench)
    tried_again(bench)
    bench.born()
    bench.dies("probe-absent")
    assert (bench.phase(), bench.code()) == (Phase.BLOCKED, "probe-absent")


def test_a_dead_board_is_tried_for_ever_but_not_faster_than_the_intensity(bench: Bench) -> None:
    bench.say(ev.StartAsked())
    began = bench.now
    while bench.now < began + 7200:
        if bench.phase() is Phase.STARTING:
            bench.born()
            bench.dies("target-not-answering")
        bench.say(*_answers(bench))
        if bench.phase() is Phase.CLEARING:
            bench.say(ev.UsbWasReset(True, ""))
        bench.wait(1.0)
        assert bench.phase() in {Phase.BACKOFF, Phase.STARTING, Phase.CLEARING}
    assert 100 < bench.run <= 10 * 25
    assert len(bench.state.tried) < 10
    assert bench.state.recovery is not None
    assert len(bench.state.recovery.rungs) < 12


def test_a_flash_operation_suspends_the_verdict_on_silence(up: Bench) -> None:
    up.say(ev.FlashBusy(up.run, True))
    up.wait(120.0)
    assert up.phase() is Phase.READY
    up.say(ev.FlashBusy(up.run, False))
    up.wait(14.9)
    assert up.phase() is Phase.READY
    up.wait(0.2)
    assert up.code() == "backend-hung"


def test_a_flash_operation_that_ends_during_the_start_leaves_the_verdict_to_the_start(bench: Bench) -> None:
    bench.say(ev.StartAsked())
    bench.born()
    bench.say(ev.FlashBusy(1, True), ev.FlashBusy(1, False))
    assert set(bench.state.timers) == {Timer.PHASE}


def test_a_sign_of_life_during_the_start_leaves_the_verdict_to_the_start(bench: Bench) -> None:
    bench.say(ev.StartAsked())
    bench.ready()
    bench.say(ev.Alive(1))
    assert set(bench.state.timers) == {Timer.PHASE}


def test_an_openocd_that_was_up_is_not_blamed_for_what_an_exit_at_the_start_would_mean(up: Bench) -> None:
    up.dies("config-rejected")
    assert (up.phase(), up.code()) == (Phase.STARTING, "backend-exited")


@pytest.mark.parametrize(
    ("core", "answers", "fault"),
    [
        ("running", True, None),
        ("halted", True, None),
        ("unknown", True, "target-not-answering"),
        ("running", False, "target-not-answering"),
        ("reset", True, "target-held-in-reset"),
    ],
)
def test_up_is_only_what_answers_with_a_state_that_can_be_used(
    bench: Bench, core: str, answers: bool, fault: str | None
) -> None:
    bench.say(ev.StartAsked())
    bench.ready()
    bench.verified(core, answers=answers)
    assert bench.code() == fault


def test_a_probe_that_complains_again_and_again_is_looked_for_once(up: Bench) -> None:
    line = ev.LineFound(up.run, "usb-error", "probe-absent", "LIBUSB_ERROR_NO_DEVICE")
    assert up.say(line) == [LookForProbe()]
    assert up.say(*[line] * 100) == []
    assert up.phase() is Phase.DEGRADED


def test_saying_twice_that_no_flash_operation_runs_does_not_put_the_verdict_off(up: Bench) -> None:
    for _ in range(3):
        up.wait(5.0)
        up.say(ev.FlashBusy(up.run, False))
    assert up.code() == "backend-hung"


def test_a_backend_that_got_ready_while_flashing_may_be_silent_at_once(bench: Bench) -> None:
    bench.say(ev.StartAsked())
    bench.ready()
    bench.say(ev.FlashBusy(1, True))
    bench.verified()
    bench.wait(900.0)
    assert bench.phase() is Phase.READY


def test_a_flash_operation_that_nothing_is_heard_of_for_longer_than_gdb_waits_is_a_hang(up: Bench) -> None:
    up.say(ev.FlashBusy(up.run, True))
    up.wait(999.0)
    assert up.phase() is Phase.READY
    up.wait(1.5)
    assert up.code() == "backend-hung"
    assert "1000 s" in up.snapshot()["fault"]["text"]


def test_a_failed_flash_is_a_remark_until_the_next_attempt(up: Bench) -> None:
    up.say(ev.LineFound(up.run, "flash-write-failed", "flash-failed", "error writing to flash"))
    assert up.snapshot()["fault"]["code"] == "flash-failed"
    assert up.phase() is Phase.READY
    up.say(ev.FlashBusy(up.run, True, flash=False))  # a dump
    assert up.snapshot()["fault"]["code"] == "flash-failed"
    up.say(ev.FlashBusy(up.run, False), ev.FlashBusy(up.run, True))
    assert up.snapshot()["fault"] is None


def test_a_launch_that_never_was_frees_a_stop(bench: Bench) -> None:
    bench.say(ev.StartAsked(), ev.StopAsked(), ev.LaunchFailed(1, "backend-missing", "no openocd"))
    assert bench.phase() is Phase.STOPPED


def test_last_words_before_an_exit_are_the_evidence(bench: Bench) -> None:
    bench.say(ev.StartAsked())
    bench.say(ev.LineFound(1, "init-failed", "target-not-answering", "Error: init mode failed"))
    bench.dies("target-not-answering")
    assert bench.snapshot()["fault"]["evidence"] == ["Error: init mode failed"]


def fails(bench: Bench, target: str, times: int = 1) -> None:
    """Failed examinations of one of several targets."""
    for _ in range(times):
        bench.say(ev.LineFound(bench.run, "target-poll-failed", "target-poll-failing", "Examination failed", target))


def test_failures_are_counted_for_each_target(up: Bench) -> None:
    """Two cores that miss two polls each are no core that missed three."""
    up.say(ev.CoreVerified(up.run, (("a", "running"), ("b", "running")), True))
    fails(up, "a", 2)
    fails(up, "b", 2)
    assert up.phase() is Phase.DEGRADED
    fails(up, "b")
    assert up.state.fault is not None
    assert up.state.fault.text.startswith("3 failed examinations")
    assert up.state.fault.text.endswith("on b")


def test_a_bench_is_well_again_when_all_its_targets_are(up: Bench) -> None:
    fails(up, "a")
    fails(up, "b")
    up.say(ev.LineFound(up.run, "target-recovered", None, "processor detected", "a"))
    assert up.phase() is Phase.DEGRADED
    up.say(ev.LineFound(up.run, "target-recovered", None, "processor detected", "b"))
    assert up.phase() is Phase.READY
