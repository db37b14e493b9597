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


def test_what_was_tried_and_what_is_under_way_is_told(up: Bench) -> None:
    up.dies()
    up.comes_up()
    up.poll_fails(3)
    told = why(up.snapshot())
    assert "for backend-exited: restart; recovered after 0 s." in told
    assert "Under way: restart-under-reset." in told
