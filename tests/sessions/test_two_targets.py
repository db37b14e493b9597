"""A chip with two cores: a GDB on each, one OpenOCD behind both, and what happens to one core leaves the other alone."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from ocdsup.demo.stage import until
from tests.bench.rig import PATIENCE
from tests.sessions.desk import MODE_2, console, hits, reason, run, value
from tests.sessions.two_cores import IN_GROUP, NAMES, Two, blinks_in_passing, interrupt, stands_in_blink

RESET_LINE = "board was reset while OpenOCD was away"


@pytest.fixture
def mode() -> str:
    """HLA reaches the first core only."""
    return "dap"


def test_each_core_has_a_stable_port_and_the_status_tells_them_apart(two: Two) -> None:
    bench = two.rig.status()
    assert [target["name"] for target in bench["targets"]] == NAMES
    ports = [target["gdb_port"] for target in bench["targets"]]
    assert bench["ports"]["gdb"] == ports
    assert len(set(ports)) == 2
    two.cores_are("running", "running")
    stands_in_blink(two.gdb(1))
    two.cores_are("running", "halted")
    assert [target["gdb_sessions"] for target in two.rig.status()["targets"]] == [0, 1]
    two.gdb(0)
    two.cores_are("halted", "halted")
    assert [target["gdb_sessions"] for target in two.rig.status()["targets"]] == [1, 1]
    two.gdbs[0].close()
    two.rig.until("count one", lambda b: [target["gdb_sessions"] for target in b["targets"]] == [1, 0])
    two.cores_are("halted", "running")


def test_what_one_debugger_does_the_other_does_not_feel(two: Two) -> None:
    """Breakpoints, memory, steps and interrupts of one core; the other one blinks on, and its GDB hears nothing."""
    first, second = two.gdb(0), two.gdb(1)
    first.command(f"-break-insert -h *{MODE_2:#x}")
    first.command("-exec-continue")
    stands_in_blink(second)
    said = len(first.log)
    for _ in range(5):
        second.command("-exec-step-instruction")
        second.wait_stop(PATIENCE)
    second.command("-data-evaluate-expression mode=2")
    two.cores_are("running", "halted")
    assert first.no_stop_waiting()
    assert [line for line in first.log[said:] if line.strip() != "(gdb)"] == []
    until("see the first core blink on", lambda: blinks_in_passing(first) > value(second, "blinks"), PATIENCE)
    interrupt(first)
    assert (value(first, "mode"), value(second, "mode")) != (2, 2)
    two.cores_are("halted", "halted")


def test_a_killed_openocd_leaves_each_session_as_its_user_had_it(two: Two) -> None:
    """One stands, one runs; both go on, each with its own breakpoint."""
    first, second = two.gdb(0), two.gdb(1)
    stands_in_blink(first)
    second.command(f"-break-insert -h *{MODE_2:#x}")
    second.command("-exec-continue")
    two.cores_are("halted", "running")
    before, said = value(first, "blinks"), len(first.log)
    ports = [two.port(core) for core in (0, 1)]
    two.kill_and_recover()
    two.cores_are("halted", "running")
    assert [two.port(core) for core in (0, 1)] == ports
    assert [line for line in first.log[said:] if line.strip() != "(gdb)"] == []
    assert second.no_stop_waiting()
    hits(first)
    assert value(first, "blinks") == before + 1
    second.command("-exec-interrupt")
    assert "SIGINT" in second.wait_stop(PATIENCE)
    second.command("-data-evaluate-expression mode=2")
    assert f'addr="{MODE_2:#010x}"' in run(second)


@pytest.mark.parametrize("core", [None, 0, 1], ids=["both", "first", "second"])
def test_cores_that_die_are_recovered_once_and_both_debuggers_are_told(two: Two, core: int | None) -> None:
    """Under reset: the one that ran and the one that stood hear that the board was reset, and both work again.

    Of one that died alone they are told first: the board is reset under the debugger of the other one when its user says so.
    """
    first, second = two.gdb(0), two.gdb(1)
    stands_in_blink(first)
    stands_in_blink(second)
    second.command("-break-disable 1")
    second.command("-exec-continue")
    two.cores_are("halted", "running")
    if core is None:
        two.sim.control.break_("sleeping")
        bench = two.rig.recovered(1)
        assert [recovery["rungs"] for recovery in bench["recoveries"]] == [["restart-under-reset"]]
        assert two.rig.faults() == ["target-poll-failing"]
    else:
        two.sim.control.break_("sleeping", core=core)
        bench = two.rig.until("miss the core", lambda bench: bool(bench["fault"]))
        assert [target["fault"] for target in bench["targets"]].index("target-poll-failing") == core
        assert two.rig.launches() == 1
        assert two.rig.ocdsup("restart", "one", "--under-reset").returncode == 0
        two.rig.ready()
    for stop in (second.wait_stop(PATIENCE), run(first)):
        assert (reason(stop), 'signal-name="SIGINT"' in stop) == ("signal-received", True), stop
    for gdb in (first, second):
        assert console(gdb).count(RESET_LINE) == 1
    two.cores_are("halted", "halted")
    hits(first)
    second.command("-break-enable 1")
    hits(second)


def test_a_core_that_nobody_debugs_runs_on_after_a_reset_for_the_other_one(two: Two) -> None:
    """The recovery leaves halted what its user had halted, and nothing else."""
    stands_in_blink(two.gdb(1))
    two.cores_are("running", "halted")
    two.sim.control.break_("sleeping")
    two.rig.recovered(1)
    two.cores_are("running", "halted")
    assert two.rig.status()["recoveries"][-1]["rungs"] == ["restart-under-reset"]


def test_breakpoints_of_a_core_that_was_lost_for_a_moment_are_set_again(two: Two) -> None:
    """OpenOCD examines that core anew, which clears its comparators; the other core is not touched."""
    first, second = two.gdb(0), two.gdb(1)
    stands_in_blink(first)
    stands_in_blink(second)
    two.sim.control.break_("sleeping", core=1)
    two.rig.until("miss the core", lambda bench: bench["phase"] != "ready")
    two.sim.control.heal()
    two.rig.until("be ready again", lambda bench: bench["phase"] == "ready")
    for gdb in (first, second):
        before = value(gdb, "blinks")
        if two.rig.status()["counters"]["recoveries"] == 0:
            hits(gdb)
            assert value(gdb, "blinks") == before + 1
    assert two.rig.faults() == []


def test_a_loan_leaves_each_core_as_it_was(two: Two) -> None:
    """One halted, one running, before and after somebody else had the probe."""
    stands_in_blink(two.gdb(0))
    two.cores_are("halted", "running")
    done = two.rig.ocdsup("lend", "one", "--", "true")
    assert done.returncode == 0, done.stderr
    two.rig.ready()
    two.cores_are("halted", "running")


def test_a_group_of_cores_has_one_port(desks: Callable[..., Two]) -> None:
    """OpenOCD has one GDB server for an SMP group: both targets show it, and its sessions."""
    two = desks(IN_GROUP)
    assert two.port(0) == two.port(1)
    assert two.rig.status()["ports"]["gdb"] == [two.port(0)]
    two.gdb(0)
    two.rig.until("count it", lambda bench: [target["gdb_sessions"] for target in bench["targets"]] == [1, 1])


def test_targets_without_a_gdb_port_take_none(desks: Callable[..., Two]) -> None:
    """A disabled one and a mem_ap, which an H7 has before its first core: the port belongs to the core that is served."""
    two = desks("target create dual.ap mem_ap -dap dual.dap -ap-num 0", "dual.cpu0 configure -gdb-port disabled")
    bench = two.rig.status()
    assert [(target["name"], target["gdb_port"] is None) for target in bench["targets"]] == [
        ("dual.cpu0", True),
        ("dual.cpu1", False),
        ("dual.ap", True),
    ]
    assert bench["ports"]["gdb"] == [bench["targets"][1]["gdb_port"]]
    stands_in_blink(two.gdb(1))
    assert two.cores() == ["running", "halted"]


def test_a_port_that_the_target_file_wants_for_a_core_is_not_openocds(desks: Callable[..., Two]) -> None:
    """`-gdb-port 3333` in a target file: the number would be ours."""
    two = desks("dual.cpu1 configure -gdb-port 3333")
    lines = [str(line["text"]) for line in two.rig.ask("logs", "one", lines=200)["lines"]]
    assert not [line for line in lines if "Listening on port 3333 " in line]
    stands_in_blink(two.gdb(1))


def test_a_core_whose_examination_is_deferred_does_not_keep_the_bench_from_being_ready(desks: Callable[..., Two]) -> None:
    """`-defer-examine`: a core that the firmware starts later. It shows OpenOCD's own word for it."""
    two = desks("dual.cpu1 configure -defer-examine")
    assert [target["state"] for target in two.rig.ready()["targets"]] == ["running", "examine deferred"]
    assert two.rig.faults() == []
    assert two.rig.tcl("dual.cpu1 arp_examine; dual.cpu1 curstate")
    two.cores_are("running", "running")
