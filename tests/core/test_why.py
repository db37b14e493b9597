"""The diagnosis in plain words: what is wrong, what was tried, what comes next, what hands can do."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ocdsup.core import events as ev
from ocdsup.core.why import why

if TYPE_CHECKING:
    from tests.core.conftest import Bench


def test_a_healthy_bench_says_that_nothing_is_wrong(up: Bench) -> None:
    assert why(up.snapshot()) == "nucleo: ready on :3333\nNothing is wrong now."


def test_a_blocked_bench_names_fault_evidence_next_look_and_steps(bench: Bench) -> None:
    bench.say(ev.StartAsked(), ev.LineFound(1, "no-device", "probe-absent", "Error: open failed"))
    bench.dies("probe-absent", "no ST-LINK found")
    told = why(bench.snapshot()).splitlines()
    assert told[:5] == [
        "nucleo: blocked: probe-absent: no ST-LINK found",
        "Fault probe-absent since 0 s: no ST-LINK found.",
        "  OpenOCD said: Error: open failed",
        "ocdsup looks again in 1 s.",
        "What you can do:",
    ]
    assert told[5].startswith("  1. plug the probe in")


def test_a_holder_is_named(up: Bench) -> None:
    up.say(ev.EvictAsked())
    up.holders(ev.HolderSeen(812, 99, "openocd", "bench", "10:00", False, False, "it has a live debug session"))
    expected = "The probe is open in PID 812 openocd, user bench, since 10:00: it has a live debug session."
    assert expected in why(up.snapshot())


def test_who_was_ended_for_the_probe_is_told_with_the_reason(up: Bench) -> None:
    up.say(ev.EvictAsked())
    up.holders(ev.HolderSeen(812, 99, "openocd", "bench", "10:00", True, True, "stale: the program that started it is gone"))
    up.say(ev.HolderEnded(812, ended=True, how="shutdown", text=""))
    told = why(up.snapshot())
    assert "PID 812 openocd, user bench, by shutdown: stale: the program that started it is gone." in told
    assert up.snapshot()["probe"]["evicted"][0]["pid"] == 812


def test_what_was_tried_and_what_is_under_way_is_told(up: Bench) -> None:
    up.dies()
    up.comes_up()
    up.poll_fails(3)
    told = why(up.snapshot())
    assert "for backend-exited: restart; recovered after 0 s." in told
    assert "Under way: restart-under-reset." in told


def test_all_cures_of_the_running_recovery_are_told(bench: Bench) -> None:
    bench.say(ev.StartAsked())
    for _ in range(4):
        bench.dies("target-not-answering", "init mode failed")
        bench.say(ev.ProbeSeen(ev.Presence.PRESENT), ev.HoldersSeen(()))
        bench.wait(2.0)
    told = why(bench.snapshot()).splitlines()
    assert "Tried so far: restart-under-reset (2 times), restart-under-reset-slow." in told
    assert "Under way: hold-halted." in told
    bench.dies("target-not-answering", "init mode failed")
    bench.say(ev.ProbeSeen(ev.Presence.PRESENT), ev.HoldersSeen(()))
    told = why(bench.snapshot()).splitlines()
    assert "Tried so far: restart-under-reset (2 times), restart-under-reset-slow, hold-halted, restart." in told
    assert not any(line.startswith("Under way") for line in told)


def test_a_bench_that_was_given_up_says_when_it_is_tried_and_how_to_try_at_once(bench: Bench) -> None:
    bench.say(ev.StartAsked())
    bench.state.launches = tuple(bench.now - number for number in range(10))
    bench.dies("backend-hung", "OpenOCD was not ready within 15 s")
    bench.say(ev.ProbeSeen(ev.Presence.PRESENT), ev.HoldersSeen(()))
    told = why(bench.snapshot())
    assert "ocdsup has given up, and only tries once more in 10 min. `ocdsup restart nucleo` tries at once." in told
    assert (
        "  1. unplug the probe, wait two seconds, plug it in again; behind an ST-LINK server, restart that server too" in told
    )


def test_a_line_of_openocd_is_told_once_and_its_meaning_in_our_words(bench: Bench) -> None:
    bench.say(ev.StartAsked())
    bench.say(ev.BackendExited(1, "exit 1", "target-not-answering", "init mode failed", ("init mode failed",)))
    told = why(bench.snapshot()).splitlines()
    assert told[1] == "Fault target-not-answering since 0 s: the probe works, but no target answers behind it."
    assert told[2] == "  OpenOCD said: init mode failed"


def test_a_long_wait_can_be_cut_short_by_a_person(bench: Bench) -> None:
    bench.say(ev.StartAsked())
    bench.state.streak = 9
    bench.dies("target-unpowered", "no supply")
    bench.say(ev.ProbeSeen(ev.Presence.PRESENT), ev.HoldersSeen(()))
    assert "ocdsup tries again in 30 s. `ocdsup restart nucleo` tries at once." in why(bench.snapshot())
    bench.wait(26.0)
    assert why(bench.snapshot()).splitlines()[-4].startswith("ocdsup tries again in 4 s.")


def test_a_core_that_is_kept_halted_is_not_called_well(up: Bench) -> None:
    up.state.held = True
    told = why(up.snapshot())
    assert "Nothing is wrong" not in told
    assert "kept halted at the reset vector" in told


def test_a_bench_that_was_stopped_says_how_it_comes_back(up: Bench) -> None:
    up.say(ev.StopAsked())
    up.dies()
    assert why(up.snapshot()) == "nucleo: stopped\nIt was stopped on purpose; `ocdsup start nucleo` brings it back."


def test_a_bench_that_was_given_up_says_how_it_is_tried_again(bench: Bench) -> None:
    bench.say(ev.StartAsked())
    bench.dies("config-rejected", "no such command")
    told = why(bench.snapshot()).splitlines()
    assert told[2:4] == ["ocdsup has given up; `ocdsup restart nucleo` tries again.", "What you can do:"]
