"""After anything that ocdsup does, the core runs or stands as its user left it; GDB's own command line included."""

from __future__ import annotations

import os
import signal
import subprocess

import pytest

from ocdsup.demo.gdb import find_gdb
from ocdsup.demo.stage import until
from ocdsup.demo.story import firmware
from tests.bench.rig import PATIENCE
from tests.sessions.desk import Desk, hits, let_go, take_hold, value


def left_halted_in_blink(desk: Desk) -> int:
    """A GDB that stands at a breakpoint; returns where the firmware counts its blinks."""
    gdb = desk.gdb()
    gdb.command("-break-insert -h blink")
    hits(gdb)
    gdb.command('-interpreter-exec console "set breakpoint always-inserted on"')
    return value(gdb, "&blinks")


def counts(desk: Desk, address: int) -> bool:
    """Whether the program goes on counting and no breakpoint stops it, as OpenOCD reads it from the running core."""
    word = f"mdw {address:#x}"
    before = desk.rig.tcl(word)
    return bool(until("count on", lambda: desk.rig.tcl(word) != before, PATIENCE))


@pytest.mark.parametrize("how", ["detach", "disconnect", "exit", "kill -9"])
def test_when_gdb_leaves_the_core_runs_on(desk: Desk, how: str) -> None:
    """`on_detach: resume`, the default, however GDB leaves."""
    blinks = left_halted_in_blink(desk)
    gdb = desk.gdbs[0]
    match how:
        case "detach":
            gdb.command("-target-detach")  # the connection stays: it is `extended-remote`
            gdb.command("-target-disconnect")
        case "disconnect":
            gdb.command("-target-disconnect")
        case "exit":
            gdb.close()
        case _:
            os.kill(gdb.pid, signal.SIGKILL)
    desk.sessions_are(0)
    desk.core_is("running")
    assert counts(desk, blinks)
    later = desk.gdb()
    assert value(later, "$pc") != 0
    later.command("-target-disconnect")
    desk.core_is("running")
    assert counts(desk, blinks)


@pytest.mark.parametrize("running", [False, True], ids=["halted", "running"])
def test_a_restart_by_verb_leaves_the_core_as_it_was(desk: Desk, running: bool) -> None:
    """`ocdsup restart`: another OpenOCD, the same session."""
    left_halted_in_blink(desk)
    gdb = desk.gdbs[0]
    pid = desk.pid()
    if running:
        let_go(desk, gdb)
    desk.rig.ask("restart", "one")
    desk.rig.until("be another one", lambda b: b["phase"] == "ready" and b["backend"]["pid"] != pid)
    assert desk.sim.core() == ("running" if running else "halted")
    if running:
        take_hold(gdb)
    before = value(gdb, "blinks")
    hits(gdb)
    assert value(gdb, "blinks") == before + (not running)


def test_the_command_line_of_gdb_goes_on_as_well(desk: Desk) -> None:
    """A script in a plain terminal: OpenOCD is killed between two commands, and the next one works."""
    lines = [
        "set confirm off",
        f"target extended-remote localhost:{desk.port}",
        "hbreak blink",
        "continue",
        f"shell kill -9 {desk.pid()}",
        "continue",
        "info breakpoints",
        "print blinks",
        "detach",
    ]
    arguments = [part for line in lines for part in ("-ex", line)]
    argv = [find_gdb(), "--nx", "--batch", *arguments, str(firmware())]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=PATIENCE, stdin=subprocess.DEVNULL, check=False)
    assert done.returncode == 0, done.stderr
    assert "breakpoint already hit 2 times" in done.stdout, done.stdout + done.stderr
    assert "rror" not in done.stderr
