"""A chip with two cores of which one stays dead: whoever debugs the other one keeps it, and the dead one may come back."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable

import pytest

from ocdsup.demo.gdb import Gdb, GdbError
from ocdsup.demo.stage import until
from ocdsup.demo.story import firmware
from tests.bench.rig import PATIENCE, SERIAL, Bench, Rig
from tests.sessions.desk import console, hits, value
from tests.sessions.two_cores import NAMES, Two, blinks_in_passing, stands_in_blink

SAYS = "dual.cpu1 does not answer, dual.cpu0 answers"


@pytest.fixture
def mode() -> str:
    """HLA reaches the first core only."""
    return "dap"


def boots(two: Two) -> int:
    """How often the board came out of a reset, as the board knows it."""
    return int(next(probe for probe in two.sim.control.status() if probe["serial"] == SERIAL)["boots"])


def degraded(two: Two, core: int = 1) -> Bench:
    """Wait until the bench goes on without a core."""
    return two.rig.until("miss it", lambda bench: bench["phase"] == "degraded" and bool(bench["targets"][core]["fault"]))


def looked_at(two: Two, times: int) -> Bench:
    """Wait for so many more looks at the dead core."""
    before = int(two.rig.status()["counters"]["looks"])
    return two.rig.until("look", lambda bench: bench["counters"]["looks"] >= before + times)


def refused(two: Two, core: int) -> str:
    """What a GDB reads that comes to a core and does not get it."""
    gdb = Gdb(firmware())
    two.gdbs.append(gdb)
    with pytest.raises(GdbError) as caught:
        gdb.command(f"-target-select extended-remote localhost:{two.port(core)}", PATIENCE)
    return str(caught.value)


def test_a_core_that_dies_for_good_costs_the_debugger_of_the_other_one_nothing(two: Two) -> None:
    """Breakpoints, steps, the run state and the OpenOCD behind it stay; the dead one is looked at, and comes back by itself."""
    first = two.gdb(0)
    stands_in_blink(first)
    pid, before = two.rig.ready()["backend"]["pid"], boots(two)
    two.sim.control.break_("silent", core=1)
    bench = degraded(two)
    assert (bench["fault"]["code"], bench["fault"]["text"]) == ("target-poll-failing", SAYS)
    assert bench["summary"] == f"degraded: {SAYS}"
    assert [(target["name"], target["fault"]) for target in bench["targets"]] == [
        (NAMES[0], None),
        (NAMES[1], bench["fault"]["code"]),
    ]
    for _ in range(3):
        count = value(first, "blinks")
        hits(first)
        assert value(first, "blinks") == count + 1
        first.command("-exec-step-instruction")
        first.wait_stop(PATIENCE)
        looked_at(two, 1)
    assert two.cores()[0] == "halted"
    said = len(first.log)
    assert SAYS in refused(two, 1)
    for text in (two.rig.ocdsup("why", "one").stdout, two.rig.telnet("ocdsup why")):
        assert SAYS in text
        assert "dual.cpu1 configure -defer-examine" in text
        assert "without a reset" in text
    assert SAYS in two.rig.ocdsup("status", "one").stdout
    two.sim.control.heal()
    two.rig.ready()
    second = two.gdb(1)
    stands_in_blink(second)
    hits(first)
    hits(second)
    assert [line for line in first.log[said:] if "cpu1" in line] == []
    assert (two.rig.status()["backend"]["pid"], boots(two), two.rig.launches()) == (pid, before, 1)
    assert two.rig.status()["counters"]["recoveries"] == 0


def test_a_healthy_core_that_runs_under_its_debugger_runs_on(two: Two) -> None:
    """The first core is the dead one this time, which OpenOCD polls before the other one."""
    second = two.gdb(1)
    second.command("-exec-continue")
    two.cores_are("running", "running")
    before = boots(two)
    two.sim.control.break_("silent", core=0)
    degraded(two, 0)
    blinks = blinks_in_passing(second)
    said = len(second.log)
    looked_at(two, 3)
    assert second.no_stop_waiting()
    assert [line for line in second.log[said:] if line.startswith(("~", "@", "&"))] == []  # the looks are not heard
    until("see it blink on", lambda: blinks_in_passing(second) > blinks, PATIENCE)
    assert boots(two) == before
    two.sim.control.heal()
    two.rig.ready()
    stands_in_blink(two.gdb(0))
    assert (boots(two), two.rig.launches()) == (before, 1)


@pytest.mark.parametrize("running", [True, False], ids=["running", "halted"])
def test_the_session_of_the_dead_core_waits_and_goes_on(two: Two, running: bool) -> None:
    """Its user is told at once if he waits for a stop, and with his next command if not; his breakpoint is there again."""
    first, second = two.gdb(0), two.gdb(1)
    stands_in_blink(first)
    stands_in_blink(second)
    if running:
        second.command("-break-disable 1")
        second.command("-exec-continue")
        two.cores_are("halted", "running")
    two.sim.control.break_("silent", core=1)
    degraded(two)
    if running:
        until("read why", lambda: SAYS in console(second), PATIENCE)
    else:
        with pytest.raises(GdbError):
            second.command("-data-read-memory-bytes &magic 4")
    looked_at(two, 2)
    hits(first)
    two.sim.control.heal()
    two.rig.ready()
    if running:
        until("read that it is back", lambda: "answers again" in console(second), PATIENCE)
        assert second.no_stop_waiting()
        second.command("-exec-interrupt")
        assert "SIGINT" in second.wait_stop(PATIENCE)
        second.command("-break-enable 1")
    hits(second)
    hits(second)
    hits(first)
    assert (boots(two), two.rig.launches()) == (1, 1)


def test_with_nobody_at_the_healthy_core_the_board_is_reset_once_and_then_left_alone(two: Two) -> None:
    """It has answered before, so one reset may bring it back; what that does not cure costs nobody anything more."""
    before = boots(two)
    two.sim.control.break_("silent", core=1)
    two.rig.until("try the reset", lambda bench: bench["recoveries"])
    bench = degraded(two)
    assert [(one["rungs"], one["outcome"]) for one in bench["recoveries"]] == [(["restart-under-reset"], "degraded")]
    looked_at(two, 4)
    assert (boots(two), two.rig.launches()) == (before + 1, 2)
    stands_in_blink(two.gdb(0))
    two.sim.control.heal()
    two.rig.ready()
    stands_in_blink(two.gdb(1))
    assert (boots(two), two.rig.launches()) == (before + 1, 2)


def test_a_reset_that_wakes_the_core_is_a_recovery(two: Two) -> None:
    """Asleep until NRST is pulled: nobody debugs the healthy core, and all is well again."""
    two.sim.control.break_("sleeping", core=1)
    bench = two.rig.recovered(1)
    assert [one["rungs"] for one in bench["recoveries"]] == [["restart-under-reset"]]
    stands_in_blink(two.gdb(1))


def test_a_core_that_is_dead_from_the_start_costs_no_reset_and_no_waiting(desks: Callable[..., Two], rig: Rig) -> None:
    """Not started yet, as on most chips with two cores: `ocdsup wait` returns, and when the firmware starts it, it is there."""
    two = desks()
    assert rig.ocdsup("stop", "one").returncode == 0
    two.sim.control.break_("silent", core=1)
    before = boots(two)
    assert rig.ocdsup("start", "one").returncode == 0
    bench = degraded(two)
    assert bench["fault"]["code"] == "target-not-answering"
    assert rig.ocdsup("wait", "one", "--timeout", "20s").returncode == 0
    assert SAYS in refused(two, 1)
    stands_in_blink(two.gdb(0))
    looked_at(two, 3)
    launches = rig.launches()
    two.sim.control.heal()
    rig.ready()
    stands_in_blink(two.gdb(1))
    assert (boots(two), rig.launches()) == (before, launches)


def test_who_examines_the_core_by_hand_has_it_at_once(two: Two) -> None:
    """`arp_examine` at the console, as the advice says."""
    two.gdb(0)
    two.sim.control.break_("silent", core=1)
    degraded(two)
    two.sim.control.heal()
    two.rig.tcl("dual.cpu1 arp_examine")
    two.rig.ready()
    stands_in_blink(two.gdb(1))
    assert (boots(two), two.rig.launches()) == (1, 1)


def test_a_crash_of_openocd_beside_a_dead_core_is_survived_as_ever(two: Two) -> None:
    """A plain restart: the healthy core keeps its session, the dead one is no reason for more."""
    first = two.gdb(0)
    stands_in_blink(first)
    two.sim.control.break_("silent", core=1)
    degraded(two)
    pid = two.rig.status()["backend"]["pid"]
    os.kill(pid, signal.SIGKILL)
    two.rig.until("come back", lambda b: b["phase"] == "degraded" and b["backend"]["pid"] != pid)
    hits(first)
    hits(first)
    assert (boots(two), two.rig.launches()) == (1, 2)


def test_both_dead_is_the_whole_ladder_and_one_back_is_enough(two: Two) -> None:
    first = two.gdb(0)
    stands_in_blink(first)
    two.sim.control.break_("sleeping")
    two.rig.recovered(1)
    two.sim.control.break_("silent", core=1)
    degraded(two)
    two.sim.control.break_("sleeping", core=0)
    two.rig.until("recover", lambda b: b["phase"] == "degraded" and len(b["recoveries"]) > 1)
    assert two.rig.faults() == ["target-poll-failing"] * 2
    hits_after_reset(first)


def hits_after_reset(gdb: Gdb) -> None:
    """The first resume is answered by the stop that tells what may have become of the board; then the breakpoint is hit."""
    gdb.command("-exec-continue")
    gdb.wait_stop(PATIENCE)
    hits(gdb)


def test_a_mem_ap_and_a_deferred_target_have_no_part_in_it(desks: Callable[..., Two]) -> None:
    """Three targets: the mem_ap answers for ever and proves nothing, the deferred one is not dead; the core has its ladder."""
    two = desks("target create dual.ap mem_ap -dap dual.dap -ap-num 0", "dual.cpu1 configure -defer-examine")
    assert two.rig.ready()["targets"][1]["state"] == "examine deferred"
    two.sim.control.break_("sleeping", core=0)
    bench = two.rig.recovered(1)
    assert [one["rungs"] for one in bench["recoveries"]] == [["restart-under-reset"]]


def test_of_three_targets_two_may_be_dead(desks: Callable[..., Two]) -> None:
    two = desks("target create dual.too cortex_m -dap dual.dap -ap-num 1")
    stands_in_blink(two.gdb(0))
    two.sim.control.break_("silent", core=1)
    bench = two.rig.until("miss both", lambda b: b["phase"] == "degraded" and sum(bool(t["fault"]) for t in b["targets"]) == 2)
    assert bench["fault"]["text"] == "dual.cpu1 and dual.too do not answer, dual.cpu0 answers"
    two.sim.control.heal()
    two.rig.ready()
    hits(two.gdbs[0])
    assert (boots(two), two.rig.launches()) == (1, 1)


def test_a_deferred_core_that_was_examined_and_died_is_missed(desks: Callable[..., Two]) -> None:
    two = desks("dual.cpu1 configure -defer-examine")
    two.gdb(0)
    two.rig.tcl("dual.cpu1 arp_examine; dual.cpu1 arp_poll")
    two.rig.until("see it", lambda bench: bench["targets"][1]["state"] == "running")
    two.sim.control.break_("silent", core=1)
    degraded(two)
    looked_at(two, 2)
    two.sim.control.heal()
    two.rig.ready()
    stands_in_blink(two.gdb(1))
    assert (boots(two), two.rig.launches()) == (1, 1)


def test_a_loan_beside_a_dead_core_leaves_the_healthy_one_as_it_was(two: Two) -> None:
    """Halted before, halted afterwards; what is dead has no say in it, and is no reason for a reset."""
    first = two.gdb(0)
    stands_in_blink(first)
    two.sim.control.break_("silent", core=1)
    degraded(two)
    done = two.rig.ocdsup("lend", "one", "--", "true")
    assert done.returncode == 0, done.stderr
    degraded(two)
    assert (two.cores()[0], boots(two)) == ("halted", 1)
    hits_after_reset(first)
