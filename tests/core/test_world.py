"""What the PC shows: probe gone and back, holders, USB reset, ports."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import pytest

from ocdsup.core import events as ev
from ocdsup.core.effects import EndHolder, Launch, LookForHolders, LookForProbe, Profile, ResetUsb, Terminate, UsbCure
from ocdsup.core.events import Presence
from ocdsup.core.policy import Policy
from ocdsup.core.state import Phase
from ocdsup.core.why import why

if TYPE_CHECKING:
    from tests.core.conftest import Bench

STALE = ev.HolderSeen(812, 99, "openocd", "bench", "2026-01-01T10:00:00+00:00", True, True, "its IDE is gone")
ALIVE = ev.HolderSeen(812, 99, "openocd", "bench", "2026-01-01T10:00:00+00:00", False, False, "it has a live debug session")


def launches(asked: Sequence[object]) -> int:
    return sum(isinstance(e, Launch) for e in asked)


def pulled(bench: Bench) -> None:
    """Ready, then the cable is pulled."""
    bench.start()
    bench.probe()
    bench.poll_fails()
    assert bench.probe(Presence.ABSENT, "") == [Terminate(1)]
    bench.dies()
    assert (bench.phase(), bench.code()) == (Phase.BLOCKED, "probe-absent")


def test_a_probe_that_is_gone_blocks_without_a_restart_and_its_return_starts_at_once(bench: Bench) -> None:
    pulled(bench)
    for _ in range(3600):
        assert bench.wait(1.0) == [LookForProbe()]
        assert bench.probe(Presence.ABSENT, "") == []
    assert bench.run == 1
    assert bench.snapshot()["probe"]["present"] is False
    bench.wait(1.0)
    assert bench.probe(identity="1:9") == [Launch(2, Profile())]
    bench.comes_up()
    assert bench.snapshot()["probe"]["present"] is True


def test_a_replug_between_two_looks_is_noticed_by_the_new_device_number(bench: Bench) -> None:
    pulled(bench)
    bench.state.probe = ev.ProbeSeen(Presence.PRESENT, "", "1:7")
    bench.state.streak = 9
    assert bench.probe(identity="1:8") == [Launch(2, Profile())]


def test_the_first_start_after_a_replug_is_plain_even_if_the_last_was_under_reset(up: Bench) -> None:
    up.poll_fails(3)
    up.say(ev.ProbeSeen(Presence.PRESENT), ev.HoldersSeen(()))
    up.dies()
    up.comes_up()
    up.wait(14.0)
    up.say(ev.Alive(up.run))
    up.poll_fails()
    up.probe(Presence.ABSENT, "")
    up.dies()
    up.wait(1.0)
    up.probe(Presence.ABSENT, "")
    assert up.probe(identity="1:9") == [Launch(3, Profile())]


def test_a_probe_that_is_back_is_tried_at_once_although_the_intensity_is_spent(bench: Bench) -> None:
    pulled(bench)
    bench.state.launches = tuple(bench.now - 14.0 + number for number in range(10))
    bench.wait(1.0)
    bench.probe(Presence.ABSENT, "")
    assert bench.probe(identity="1:9") == [Launch(2, Profile())]


def test_a_plug_that_comes_and_goes_makes_no_storm_of_restarts(bench: Bench) -> None:
    pulled(bench)
    began, before = bench.now, bench.run
    number = 10
    while bench.now < began + 600:
        asked = bench.wait(1.0)
        if bench.phase() is Phase.BLOCKED:
            number += 1
            bench.probe(Presence.ABSENT, "")
            asked = bench.probe(identity=f"1:{number}")
        if launches(asked):
            bench.dies("probe-absent")
    assert 500 // 7 <= bench.run - before <= 10 + 600 // 5


def test_a_probe_that_is_back_is_not_called_absent_while_its_start_waits(bench: Bench) -> None:
    pulled(bench)
    bench.wait(1.0)
    bench.probe(Presence.ABSENT, "")
    bench.state.launches = tuple(bench.now - number for number in range(10, 0, -1))
    assert bench.probe(identity="1:9") == []
    shown = bench.snapshot()
    assert (shown["phase"], shown["fault"], shown["next_try_s"]) == ("backoff", None, 4.0)
    assert shown["probe"]["present"] is True
    assert shown["summary"] == "waiting 4 s for the next try: recovery.intensity allows no more starts now"


@pytest.mark.parametrize(
    ("fault", "launch"),
    [("backend-exited", True), ("backend-hung", True), ("config-rejected", False), ("backend-missing", False)],
)
def test_a_replug_ends_a_failure_that_the_probe_can_have_caused(bench: Bench, fault: str, launch: bool) -> None:
    bench.say(ev.StartAsked())
    bench.born()
    bench.say(ev.ProbeSeen(Presence.PRESENT, "", "1:7"))
    bench.state.launches = tuple(bench.now - 60.0 - number for number in range(10, 0, -1))
    bench.state.streak = 2
    bench.dies(fault)
    bench.wait(1.0)
    assert bench.phase() is Phase.FAILED
    bench.state.probe = ev.ProbeSeen(Presence.PRESENT, "", "1:7")
    assert bench.probe(identity="1:7") == []
    assert bench.probe(Presence.ABSENT, "") == []
    assert launches(bench.probe(identity="1:8")) == launch


@pytest.mark.parametrize("presence", [Presence.AMBIGUOUS, Presence.DENIED, Presence.PRESENT, Presence.UNKNOWN])
def test_a_running_backend_is_not_ended_for_a_look_that_proves_nothing(up: Bench, presence: Presence) -> None:
    up.poll_fails()
    assert up.probe(presence) == []
    assert up.phase() is Phase.DEGRADED


@pytest.mark.parametrize(("presence", "code"), [(Presence.DENIED, "probe-denied"), (Presence.AMBIGUOUS, "probe-absent")])
def test_a_probe_that_may_not_be_opened_blocks(up: Bench, presence: Presence, code: str) -> None:
    up.poll_fails(3)
    up.dies()
    up.holders()
    up.probe(presence)
    assert (up.phase(), up.code()) == (Phase.BLOCKED, code)


def test_a_blocked_bench_calls_its_obstacle_by_its_present_name(bench: Bench) -> None:
    pulled(bench)
    bench.probe(Presence.DENIED)
    assert (bench.phase(), bench.code(), bench.next_in()) == (Phase.BLOCKED, "probe-denied", 5.0)


def held(bench: Bench) -> None:
    """Blocked by a live session of somebody else."""
    bench.say(ev.StartAsked())
    assert bench.dies("probe-held") == [LookForProbe(), LookForHolders()]
    bench.probe()
    assert bench.holders(ALIVE) == []


def test_a_holder_that_may_not_be_ended_blocks_and_is_named(bench: Bench) -> None:
    held(bench)
    fault = bench.snapshot()["fault"]
    assert (bench.phase(), bench.code()) == (Phase.BLOCKED, "probe-held")
    assert "PID 812 openocd, user bench" in fault["text"]
    assert "live debug session" in fault["text"]
    for _ in range(1800):
        assert bench.wait(2.0) == [LookForProbe(), LookForHolders()]
        bench.holders(ALIVE)
    assert bench.run == 1


def test_a_holder_that_becomes_stale_is_ended_and_the_start_follows_at_once(bench: Bench) -> None:
    held(bench)
    bench.holders(ALIVE)
    bench.state.streak = 9
    assert bench.holders(STALE) == [EndHolder(812, 99)]
    assert bench.phase() is Phase.CLEARING
    assert bench.say(ev.HolderEnded(812, True, "term", "")) == [Launch(2, Profile())]
    bench.comes_up()
    assert bench.state.history[-1].rungs == ("evict",)


def test_a_holder_that_leaves_by_itself_lets_the_bench_start(bench: Bench) -> None:
    held(bench)
    assert bench.holders() == [Launch(2, Profile())]


def test_a_holder_that_resists_is_not_tried_again_until_a_person_asks(bench: Bench) -> None:
    bench.say(ev.StartAsked())
    bench.dies("probe-held")
    bench.probe()
    assert bench.holders(STALE) == [EndHolder(812, 99)]
    bench.say(ev.HolderEnded(812, False, "refused", "not permitted"))
    assert (bench.phase(), bench.code()) == (Phase.BLOCKED, "probe-held")
    assert "not permitted" in bench.snapshot()["fault"]["text"]
    assert bench.holders(STALE) == []
    bench.say(ev.EvictAsked())
    assert bench.holders(STALE) == [EndHolder(812, 99)]


def test_a_holder_that_was_gone_before_its_end_is_no_eviction(bench: Bench) -> None:
    bench.say(ev.StartAsked())
    bench.dies("probe-held")
    bench.probe()
    bench.holders(STALE)
    bench.say(ev.HolderEnded(812, True, "gone", ""))
    assert bench.state.evictions == 0
    assert bench.phase() is Phase.STARTING


@pytest.mark.parametrize(("again_in", "looks_in"), [(0.5, 0.5), (0.0, 0.05), (60.0, 2.0), (None, 2.0)])
def test_a_holder_that_time_may_make_stale_is_looked_at_then(bench: Bench, again_in: float | None, looks_in: float) -> None:
    held(bench)
    bench.wait(2.0)
    again_at = None if again_in is None else bench.now + again_in
    bench.say(ev.HoldersSeen((ALIVE,), again_at=again_at))
    assert bench.next_in() == looks_in


def test_a_held_probe_that_is_unplugged_is_absent(bench: Bench) -> None:
    held(bench)
    bench.probe(Presence.ABSENT, "")
    assert (bench.phase(), bench.code()) == (Phase.BLOCKED, "probe-absent")
    assert bench.run == 1


def test_old_holders_do_not_block_a_later_start(up: Bench) -> None:
    up.say(ev.EvictAsked())
    up.holders(ALIVE)
    assert up.dies() == [Launch(2, Profile())]


def test_a_wedged_probe_is_reset_and_then_waits_for_hands_or_a_replug(bench: Bench) -> None:
    bench.say(ev.StartAsked())
    asked: list[object] = []
    for _ in range(5):
        asked += bench.dies("probe-wedged")
        asked += bench.say(ev.ProbeSeen(Presence.PRESENT, "", "1:7"), ev.HoldersSeen(()), ev.UsbWasReset(True, ""))
        asked += bench.wait(1.0) if bench.phase() is Phase.BACKOFF else []
    assert [effect for effect in asked if isinstance(effect, ResetUsb)] == [ResetUsb(cure) for cure in UsbCure]
    assert (bench.phase(), bench.code()) == (Phase.BLOCKED, "probe-wedged")
    assert "unplug the probe" in bench.snapshot()["advice"][0]
    for _ in range(29):
        bench.wait(1.0)
        assert bench.probe() == []
    assert bench.probe(identity="1:8") == [Launch(bench.run, Profile())]


def test_a_probe_that_stays_wedged_is_tried_once_in_the_limit_of_the_back_off(bench: Bench) -> None:
    bench.say(ev.StartAsked())
    asked: list[object] = []
    for _ in range(5):
        bench.dies("probe-wedged")
        bench.say(ev.ProbeSeen(Presence.PRESENT, "", "1:7"), ev.HoldersSeen(()), ev.UsbWasReset(True, ""))
        bench.wait(1.0) if bench.phase() is Phase.BACKOFF else None
    for _ in range(95):
        bench.wait(1.0)
        asked += bench.probe()
        if bench.phase() is Phase.STARTING:
            asked += bench.dies("probe-wedged")
            asked += bench.say(ev.ProbeSeen(Presence.PRESENT, "", "1:7"), ev.HoldersSeen(()))
    assert (bench.phase(), bench.code()) == (Phase.BLOCKED, "probe-wedged")
    assert launches(asked) == 3


@pytest.mark.parametrize("presence", [Presence.UNKNOWN, Presence.PRESENT])
def test_a_wedged_probe_without_a_bus_is_tried_again_at_the_pace_of_the_back_off(
    make_bench: type[Bench], presence: Presence
) -> None:
    bench = make_bench(has_usb=False)
    bench.say(ev.StartAsked())
    for _ in range(2):
        bench.dies("probe-wedged")
        bench.say(ev.ProbeSeen(presence), ev.HoldersSeen(()))
    assert (bench.phase(), bench.code()) == (Phase.BLOCKED, "probe-wedged")
    assert launches(list(bench.probe(presence, ""))) == 1


def test_the_usb_reset_waits_for_our_own_backend_and_not_longer(make_bench: type[Bench]) -> None:
    bench = make_bench(Policy(hang_timeout_s=5.0))
    bench.start()
    for _ in range(2):
        bench.wait(5.0)
        bench.dies()
        bench.comes_up()
    bench.wait(5.0)
    assert bench.code() == "backend-hung"
    assert bench.dies() == [ResetUsb()]
    assert bench.say(ev.UsbWasReset(True, "done")) == []
    assert bench.phase() is Phase.BACKOFF


def wedged(bench: Bench, *cures: ev.UsbWasReset) -> list[object]:
    """A probe that is wedged at every start; each USB cure comes out as told. What was asked for."""
    bench.say(ev.StartAsked())
    bench.dies("probe-wedged")
    asked: list[object] = [*bench.say(ev.ProbeSeen(Presence.PRESENT, "", "1:7"), ev.HoldersSeen(()))]
    for cure in cures:
        asked += bench.wait(1.0) if bench.phase() is Phase.BACKOFF else []
        if bench.phase() is Phase.STARTING:
            asked += bench.dies("probe-wedged")
        asked += bench.say(cure)
    return asked


def test_a_usb_cure_that_cannot_be_done_gives_way_to_the_next_without_a_start_in_between(bench: Bench) -> None:
    refused = ev.UsbWasReset(False, "not permitted")
    asked = wedged(bench, refused, refused, refused)
    assert [effect for effect in asked if isinstance(effect, ResetUsb | Launch)] == [
        Launch(2, Profile()),
        *(ResetUsb(cure) for cure in UsbCure),
    ]
    assert [note.fields["cure"] for note in bench.notes if note.event == "usb_reset"] == [cure.value for cure in UsbCure]


def test_a_usb_cure_that_sits_in_the_kernel_is_not_tried_again_nor_is_a_harder_one_before_a_replug(bench: Bench) -> None:
    asked = wedged(bench, ev.UsbWasReset(False, "USB reset is stuck in the kernel: replug the probe", wedged=True))
    assert [effect for effect in asked if isinstance(effect, ResetUsb)] == [ResetUsb()]
    assert (bench.phase(), bench.code()) == (Phase.BLOCKED, "probe-wedged")
    assert "replug the probe" in bench.snapshot()["summary"]
    for _ in range(120):
        bench.wait(1.0)
        assert bench.probe() == []
    assert bench.probe(identity="1:8") == [Launch(bench.run, Profile())]
    assert bench.state.usb_stuck == ""


def test_a_usb_cure_that_the_kernel_lets_go_is_followed_by_one_start(bench: Bench) -> None:
    wedged(bench, ev.UsbWasReset(False, "stuck", wedged=True))
    assert bench.say(ev.UsbWasReset(False, "it has come free")) == [Launch(bench.run, Profile())]
    bench.comes_up()
    assert bench.phase() is Phase.READY


def test_an_answer_to_no_question_changes_nothing_while_blocked(bench: Bench) -> None:
    wedged(bench, ev.UsbWasReset(False, "stuck", wedged=True))
    assert bench.say(ev.UsbWasReset(False, "still stuck", wedged=True)) == []
    bench.say(ev.StopAsked(), ev.StartAsked())
    bench.dies("wrong-target")
    assert bench.phase() is Phase.BLOCKED
    assert bench.say(ev.UsbWasReset(True, "long over")) == []


def test_a_new_device_number_after_a_usb_cure_is_no_replug_by_hand(bench: Bench) -> None:
    """Otherwise the ladder would begin again with every cycle of the port's power."""
    asked = wedged(bench, *(ev.UsbWasReset(True, "done", identity=f"1:{number}") for number in (8, 9, 10)))
    bench.wait(1.0)
    asked += bench.dies("probe-wedged")
    bench.say(ev.ProbeSeen(Presence.PRESENT, "", "1:10"), ev.HoldersSeen(()))
    assert (bench.phase(), bench.code()) == (Phase.BLOCKED, "probe-wedged")
    assert sum(isinstance(effect, ResetUsb) for effect in asked) == len(UsbCure)
    assert bench.probe(identity="1:10") == []


def test_the_usb_cures_have_time_beyond_the_grace_of_our_own_backend(make_bench: type[Bench]) -> None:
    bench = make_bench(Policy(grace_s=0.1))
    wedged(bench)
    bench.dies("probe-wedged")
    bench.wait(19.0)
    assert bench.phase() is Phase.CLEARING
    bench.wait(2.0)
    assert bench.phase() is not Phase.CLEARING
    assert bench.say(ev.UsbWasReset(True, "too late")) == []


def test_without_leave_no_usb_cure_is_chosen(make_bench: type[Bench]) -> None:
    bench = make_bench(Policy(usb_reset=False))
    asked = wedged(bench, ev.UsbWasReset(True, ""))
    assert not any(isinstance(effect, ResetUsb) for effect in asked)


def test_the_usb_reset_is_asked_at_once_when_our_own_backend_is_gone(bench: Bench) -> None:
    bench.say(ev.StartAsked())
    bench.dies("probe-wedged")
    bench.say(ev.ProbeSeen(Presence.PRESENT), ev.HoldersSeen(()))
    assert bench.dies("probe-wedged") == [ResetUsb()]


def test_a_stable_port_that_is_taken_blocks_the_start_until_it_is_free(bench: Bench) -> None:
    assert bench.say(ev.PortTaken("port 3333: PID 9 nc"), ev.StartAsked()) == []
    assert (bench.phase(), bench.code()) == (Phase.BLOCKED, "port-in-use")
    assert "PID 9 nc" in bench.snapshot()["fault"]["text"]
    assert bench.wait(60.0) == []
    bench.say(ev.PortTaken("port 3333: PID 10 nc"))
    assert "PID 10 nc" in bench.snapshot()["fault"]["text"]
    assert bench.say(ev.PortsOpened()) == [Launch(1, Profile())]


def test_a_port_that_is_lost_later_does_not_end_a_running_backend(up: Bench) -> None:
    assert up.say(ev.PortTaken("port 3334: PID 9 nc")) == []
    assert up.phase() is Phase.READY


def test_a_private_port_that_was_taken_is_tried_again(bench: Bench) -> None:
    bench.say(ev.StartAsked())
    bench.dies("port-in-use")
    assert (bench.phase(), bench.next_in()) == (Phase.BLOCKED, 5.0)
    assert bench.wait(5.0) == [Launch(2, Profile())]


def test_a_wrong_target_is_tried_again_no_faster_than_its_recheck(bench: Bench) -> None:
    bench.say(ev.StartAsked())
    began = bench.now
    while bench.now < began + 3600:
        if bench.phase() is Phase.STARTING:
            bench.dies("wrong-target")
        bench.wait(5.0)
    assert bench.run <= 3600 / 30 + 1


def test_enough_supply_takes_the_remark_about_too_little_back(up: Bench) -> None:
    up.say(ev.LineFound(up.run, "voltage-low", "target-unpowered", "target voltage may be too low"))
    assert up.snapshot()["fault"]["code"] == "target-unpowered"
    up.say(ev.VoltageSeen(up.run, 0.4))
    assert up.snapshot()["fault"] is not None
    up.say(ev.VoltageSeen(up.run, 3.2))
    assert up.snapshot()["fault"] is None
    assert up.snapshot()["backend"]["voltage"] == 3.2


# Told by hot-plug, without a question ------------------------------------------------------------------------------


@pytest.mark.parametrize("way", ["starting", "ready", "degraded"])
def test_a_probe_that_is_pulled_blocks_the_bench_as_soon_as_openocd_is_gone(bench: Bench, way: str) -> None:
    bench.say(ev.StartAsked())
    if way != "starting":
        bench.comes_up()
    if way == "degraded":
        bench.poll_fails()
    assert bench.probe(Presence.ABSENT, "") == [Terminate(1)]
    bench.dies()
    assert (bench.phase(), bench.code()) == (Phase.BLOCKED, "probe-absent")
    assert bench.probe(identity="1:8") == [Launch(2, Profile())]


def waiting(bench: Bench) -> None:
    """A bench that waits in back-off for a board that does not answer; its probe was seen."""
    bench.say(ev.StartAsked())
    while bench.phase() is not Phase.BACKOFF:
        bench.dies("target-not-answering")
        bench.say(ev.ProbeSeen(Presence.PRESENT, "", "1:7"), ev.HoldersSeen(()))
        bench.say(ev.UsbWasReset(True, ""))


def test_a_probe_that_is_pulled_ends_the_wait_of_a_back_off(bench: Bench) -> None:
    waiting(bench)
    assert bench.probe(Presence.ABSENT, "") == []
    assert (bench.phase(), bench.code()) == (Phase.BLOCKED, "probe-absent")


def test_a_probe_that_was_plugged_in_again_ends_the_wait_of_a_back_off(bench: Bench) -> None:
    waiting(bench)
    assert bench.probe() == []
    assert bench.phase() is Phase.BACKOFF
    assert bench.probe(identity="1:8") == [Launch(bench.run, Profile())]


@pytest.mark.parametrize(("before", "after"), [("", "1:7"), ("1:7", ""), ("1:7", "1:7")])
def test_a_probe_whose_device_number_is_not_known_or_the_same_was_not_plugged_in_again(
    bench: Bench, before: str, after: str
) -> None:
    bench.say(ev.StartAsked())
    for _ in range(3):
        bench.dies()
    assert bench.phase() is Phase.BACKOFF
    bench.probe(identity=before)
    assert bench.probe(identity=after) == []
    assert bench.phase() is Phase.BACKOFF


def test_a_holder_that_could_not_be_ended_does_not_cut_a_back_off(bench: Bench) -> None:
    bench.say(ev.StartAsked())
    for _ in range(3):
        bench.dies("probe-held")
        bench.say(ev.ProbeSeen(Presence.PRESENT), ev.HoldersSeen(()))
    assert (bench.phase(), bench.code()) == (Phase.BACKOFF, "probe-held")
    assert bench.say(ev.HolderEnded(812, False, "refused", "not permitted")) == []
    assert bench.phase() is Phase.BACKOFF
    assert launches(bench.say(ev.HolderEnded(812, True, "term", ""))) == 1


def test_a_second_probe_of_the_same_kind_does_not_make_the_one_that_is_open_absent(up: Bench) -> None:
    up.probe()
    assert up.probe(Presence.AMBIGUOUS, "") == []
    assert (up.phase(), up.snapshot()["probe"]["present"]) == (Phase.READY, True)


def test_a_holder_that_cannot_be_seen_is_waited_for_with_what_is_missing(bench: Bench) -> None:
    hidden = ev.HolderSeen(0, 0, "a process that this user cannot see", "", "", False, False, "needs CAP_SYS_PTRACE")
    bench.say(ev.StartAsked())
    bench.dies("probe-held")
    bench.say(ev.ProbeSeen(Presence.PRESENT, "", "1:7"), ev.HoldersSeen((hidden,), "needs CAP_SYS_PTRACE"))
    assert (bench.phase(), bench.code()) == (Phase.BLOCKED, "probe-held")
    assert bench.snapshot()["fault"]["text"] == "held by a process that this user cannot see (needs CAP_SYS_PTRACE)"
    assert "The probe is open in a process that this user cannot see: needs CAP_SYS_PTRACE." in why(bench.snapshot())
    assert launches(bench.wait(60.0)) == 0
    assert bench.holders() == [Launch(bench.run, Profile())]
