"""`kill -9` of OpenOCD at every moment of a debugger's day: the session goes on, and what it shows is the truth."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from ocdsup.demo.gdb import GdbError
from ocdsup.demo.stage import until
from tests.bench.rig import PATIENCE
from tests.sessions.desk import Desk, console, expect_interrupt_and_breakpoint, hits, let_run, reason, run, value

WORDS = ("$pc", "$sp", "$r0", "counter", "blinks")


def test_halted_and_idle_nobody_notices(desk: Desk) -> None:
    """Registers, memory and breakpoints are as they were, nothing is printed, and the core stayed halted."""
    gdb = desk.gdb()
    gdb.command("-break-insert -h blink")
    hits(gdb)
    before = [value(gdb, word) for word in WORDS]
    said = len(gdb.log)
    desk.kill_and_recover()
    assert desk.sim.core() == "halted"
    assert [line for line in gdb.log[said:] if line.strip() != "(gdb)"] == []
    gdb.command('-interpreter-exec console "maintenance flush register-cache"')
    assert [value(gdb, word) for word in WORDS] == before
    hits(gdb)
    assert value(gdb, "blinks") == before[-1] + 1


def test_running_it_runs_on_and_the_breakpoint_set_before_is_hit(desk: Desk) -> None:
    """The core is never halted by the restart; an interrupt and an old breakpoint both work afterwards."""
    gdb = desk.gdb()
    let_run(desk, gdb)
    desk.kill_and_recover()
    assert desk.sim.core() == "running"
    assert gdb.no_stop_waiting()
    expect_interrupt_and_breakpoint(gdb)


STEPS = ["step-instruction", "next-instruction", "next", "step", "finish"]


@pytest.mark.parametrize("command", STEPS)
def test_in_a_step_gdb_gets_its_stop(desk: Desk, command: str) -> None:
    """Whichever request of the step is lost: it ends in a stop, without an error, and the next steps are good ones."""
    gdb = desk.gdb()
    gdb.command("-break-insert -h blink")
    hits(gdb)
    with desk.dies_in() as die:
        gdb.send(f"-exec-{command}")
        die()
    gdb.result(command, PATIENCE)
    gdb.wait_stop(PATIENCE)
    assert desk.sim.core() == "halted"
    gdb.command("-break-delete 1")
    for _ in range(3):
        before = value(gdb, "$pc")
        gdb.command("-exec-step-instruction")
        gdb.wait_stop(PATIENCE)
        assert value(gdb, "$pc") != before


def test_in_a_load_it_fails_once_and_the_next_one_works(desk: Desk) -> None:
    """A flash operation is never sent twice: GDB hears of the failure, and a new `load` writes and verifies."""
    gdb = desk.gdb()
    with desk.dies_in() as die:
        gdb.send("-target-download")
        die()
    with pytest.raises(GdbError, match="rror"):
        gdb.result("load", PATIENCE)
    gdb.command("-target-download", PATIENCE)
    gdb.command('-interpreter-exec console "compare-sections"')
    assert "MIS-MATCHED" not in console(gdb)
    gdb.command("-break-insert -h blink")
    hits(gdb)


def test_in_a_long_read_every_byte_is_the_right_one(desk: Desk, tmp_path: Path) -> None:
    """The read whose answer was lost is asked again: the dump is the memory, byte for byte."""
    gdb = desk.gdb()
    dump = '-interpreter-exec console "dump binary memory {} 0x20000000 0x20010000"'
    whole, torn = tmp_path / "whole", tmp_path / "torn"
    gdb.command(dump.format(whole), PATIENCE)
    with desk.dies_in() as die:
        gdb.send(dump.format(torn))
        die()
    gdb.result("dump", PATIENCE)
    assert torn.read_bytes() == whole.read_bytes()


def test_registers_written_before_the_loss_are_in_force_after_it(desk: Desk) -> None:
    """OpenOCD holds a written register until the next resume: what it took to its grave is written again."""
    gdb = desk.gdb()
    gdb.command("-break-insert -h blink")
    hits(gdb)
    gdb.command('-data-evaluate-expression "$r0=7"')
    before = value(gdb, "blinks")
    desk.kill_and_recover()
    hits(gdb)
    assert value(gdb, "blinks") == before + 7


def test_a_watchpoint_set_before_the_loss_triggers_after_it(desk: Desk) -> None:
    """Its comparator is set again; GDB hears the reason that this driver gives (HLA never says which watchpoint it was)."""
    gdb = desk.gdb()
    gdb.command("-break-watch blinks")
    first = reason(run(gdb))
    assert first == ("watchpoint-trigger" if desk.rig.mode == "dap" else "signal-received")
    before = value(gdb, "blinks")
    desk.kill_and_recover()
    assert reason(run(gdb)) == first
    assert value(gdb, "blinks") == before + 1


def test_a_running_program_keeps_its_watchpoint(desk: Desk) -> None:
    """The loss happens while the program runs: the first write after it triggers, without a stop of GDB in between."""
    gdb = desk.gdb()
    gdb.command("-break-watch faults")
    gdb.command("-exec-continue")
    desk.core_is("running")
    desk.kill_and_recover()
    desk.core_is("running")
    assert gdb.no_stop_waiting()
    desk.rig.tcl("mww 0x20000038 4")  # `mode`: the firmware now touches an address that does not exist
    gdb.wait_stop(PATIENCE)
    assert value(gdb, "faults") == 1


def test_a_software_breakpoint_in_ram_is_healed_and_hit(desk: Desk) -> None:
    """The dead OpenOCD's BKPT opcode stays in RAM: the original bytes are put back under the new breakpoint, and at the end."""
    gdb = desk.gdb()
    gdb.command("-data-evaluate-expression mode=2")
    code = gdb.command("-data-read-memory-bytes ram_work 8")
    gdb.command("-break-insert ram_work")
    gdb.command("-break-insert -h blink")
    hits(gdb, "ram_work")
    gdb.command("-gdb-set breakpoint always-inserted on")
    desk.kill_and_recover()
    assert gdb.command("-data-read-memory-bytes ram_work 8") == code
    hits(gdb, "ram_work")
    gdb.command("-exec-continue")
    hits_again = gdb.wait_stop(PATIENCE)
    assert 'reason="breakpoint-hit"' in hits_again
    gdb.command("-break-delete")
    gdb.command('-interpreter-exec console "maintenance flush dcache"')
    assert gdb.command("-data-read-memory-bytes ram_work 8") == code


def test_an_interrupt_while_openocd_is_away_is_delivered(desk: Desk) -> None:
    """GDB's stop button works during the outage: the core is halted when OpenOCD is back, and the user is told to wait."""
    gdb = desk.gdb()
    gdb.command("-exec-continue")
    desk.core_is("running")
    with desk.outage():
        gdb.command("-exec-interrupt")
        until("tell the user", lambda: "interrupt is delivered when it is back" in console(gdb), PATIENCE)
        assert gdb.no_stop_waiting()
    assert "SIGINT" in gdb.wait_stop(PATIENCE)
    assert desk.sim.core() == "halted"


def test_a_gdb_that_attaches_while_openocd_is_away_waits_for_it(desk: Desk) -> None:
    """The connect is accepted at once, and answered when OpenOCD is there."""
    gdb = desk.gdb(attach=False)
    with desk.outage():
        gdb.send(f"-target-select extended-remote localhost:{desk.port}")
        desk.sessions_are(1)
        assert desk.rig.status()["phase"] == "blocked"
        assert not any("^connected" in line for line in gdb.log), "who could have answered?"
    gdb.result("attach", PATIENCE)
    gdb.command("-break-insert -h blink")
    assert reason(hits(gdb)) == "breakpoint-hit"


@pytest.mark.parametrize("mode", ["hla"])
def test_a_gdb_that_attaches_waits_longer_than_its_own_patience(desk: Desk) -> None:
    """It gives up after six silent seconds, and so it is told to wait, eight times, until the probe is back."""
    with desk.outage():
        gdb = desk.gdb(attach=False)
        gdb.command("-gdb-set debug remote 1")
        gdb.send(f"-target-select extended-remote localhost:{desk.port}")
        until("be held", lambda: sum("oocd_keepalive" in line for line in gdb.log) >= 8, PATIENCE)
    gdb.result("attach", PATIENCE)
    gdb.wait_stop(PATIENCE, attach=True)
    gdb.command("-break-insert -h blink")
    hits(gdb)
    assert "gnoring packet error" not in console(gdb)


def test_a_reset_is_told_although_the_openocd_that_made_it_dies_at_once(desk: Desk) -> None:
    """The register written before the reset is not written after it, and the program does not run on from stale registers."""
    gdb = desk.gdb()
    gdb.command("-break-insert -h blink")
    hits(gdb)
    gdb.command('-data-evaluate-expression "$r5=0x1234"')
    first = desk.pid()
    desk.rig.ocdsup("restart", "one", "--under-reset")
    second = desk.pid()
    os.kill(second, signal.SIGKILL)
    desk.rig.until("come back", lambda bench: bench["phase"] == "ready" and bench["backend"]["pid"] not in (first, second))
    gdb.command("-exec-continue")
    stop = gdb.wait_stop(PATIENCE)
    assert 'func="Reset_Handler"' in stop
    assert console(gdb).count("ocdsup: board was reset") == 1
    assert "0x00001234" not in desk.rig.tcl("reg r5")
    hits(gdb)
    assert value(gdb, "blinks") == 0
