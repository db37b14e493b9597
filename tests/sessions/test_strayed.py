"""A halted GDB whose core somebody else lets run: the reset button, a brown-out, `resume` on telnet."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable

import pytest

from ocdsup.demo.gdb import Gdb
from ocdsup.demo.stage import until
from tests.bench.rig import PATIENCE, Bench
from tests.sessions.desk import Desk, hits, reason, run, value

WORD = "the core has run behind GDB's back"
# Of a watchpoint that was hit OpenOCD 0.12.0 says under HLA only that it was a trap.
TWO_KINDS = ({"breakpoint-hit", "watchpoint-trigger"}, {"breakpoint-hit", "signal-received"})


def button(desk: Desk) -> None:
    desk.sim.control.press_reset()


def brown_out(desk: Desk) -> None:
    desk.sim.control.power_cycle()


def by_telnet(desk: Desk) -> None:
    desk.rig.tcl("resume")


# Not the brown-out under HLA: breakpoints that OpenOCD 0.12.0 sets behind it are not hit.
BOTH = [(mode, lets_run) for mode in ("hla", "dap") for lets_run in (button, by_telnet)]
WAYS = pytest.mark.parametrize(("mode", "lets_run"), [*BOTH, ("dap", brown_out)])


def halted_in_blink(desk: Desk) -> Gdb:
    """A GDB that stands at its breakpoint, which it takes out of the core while nobody runs."""
    gdb = desk.gdb()
    gdb.command("-break-insert -h blink")
    hits(gdb)
    return gdb


def state_is(state: str) -> Callable[[Bench], bool]:
    return lambda bench: bool(bench["targets"]) and bench["targets"][0]["state"] == state


def said(gdb: Gdb) -> bool:
    return any(WORD in line for line in gdb.log)


@WAYS
def test_the_status_tells_it_and_the_first_resume_says_so_and_stops(desk: Desk, lets_run: Callable[[Desk], None]) -> None:
    """Also with a watchpoint, which OpenOCD sets in no running core: GDB would blame the hardware."""
    gdb = halted_in_blink(desk)
    gdb.command("-break-watch blinks")
    lets_run(desk)
    desk.rig.until("see the core run", state_is("running"))
    gdb.command("-exec-continue")
    gdb.wait_stop(PATIENCE)
    assert said(gdb)
    desk.core_is("halted")
    assert value(gdb, "$pc") == int(desk.rig.tcl("dict get [get_reg pc] pc"), 0)
    assert {reason(run(gdb)) for _ in range(4)} in TWO_KINDS


@WAYS
def test_a_step_is_answered(desk: Desk, lets_run: Callable[[Desk], None]) -> None:
    """Whether or not the daemon has seen the core run yet: OpenOCD makes no step of a running core, and sends GDB no stop."""
    gdb = halted_in_blink(desk)
    lets_run(desk)
    until("see OpenOCD poll", lambda: desk.rig.tcl("[target current] curstate") == "running", PATIENCE)
    gdb.command("-exec-step-instruction")
    gdb.wait_stop(PATIENCE)
    assert said(gdb)
    desk.core_is("halted")
    hits(gdb)


def test_a_probe_that_cannot_be_opened_for_a_while_resets_nothing(desk: Desk) -> None:
    """The ladder meant to restart under reset, and its OpenOCD never came to the board: the program runs on, and GDB waits."""
    gdb = halted_in_blink(desk)
    gdb.command("-break-delete 1")
    gdb.command("-exec-continue")
    desk.core_is("running")
    boots, pid = desk.sim.control.status()[0]["boots"], desk.pid()
    desk.sim.control.break_("usb-error")
    desk.rig.until("fail to open the probe", lambda b: b["fault"] is not None and b["fault"]["code"] == "probe-wedged")
    desk.sim.control.heal()
    desk.rig.until("come back", lambda b: b["phase"] == "ready" and b["backend"]["pid"] != pid)
    assert (desk.sim.control.status()[0]["boots"], desk.sim.core()) == (boots, "running")
    gdb.command("-exec-interrupt")
    gdb.wait_stop(PATIENCE)
    assert not any("reset" in line for line in gdb.log if line.startswith("@"))


@WAYS
def test_a_restart_leaves_it_running(desk: Desk, lets_run: Callable[[Desk], None]) -> None:
    gdb = halted_in_blink(desk)
    lets_run(desk)
    desk.rig.until("see the core run", state_is("running"))
    pid = desk.pid()
    os.kill(pid, signal.SIGKILL)
    desk.rig.until("come back", lambda b: b["phase"] == "ready" and b["backend"]["pid"] != pid and state_is("running")(b))
    assert desk.sim.core() == "running"
    gdb.command("-exec-continue")
    gdb.wait_stop(PATIENCE)
    assert said(gdb)
    hits(gdb)
