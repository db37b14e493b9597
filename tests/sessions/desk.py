"""A developer's desk: one simulated board, the daemon, and a GDB on the stable port, with words for what goes wrong."""

from __future__ import annotations

import os
import re
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from ocdsup.demo.gdb import Gdb
from ocdsup.demo.stage import until
from ocdsup.demo.story import firmware
from tests.bench.rig import PATIENCE, Bench, Rig

MODE_2 = 0x080000BC  # in `main`, reached only while `mode` is 2


class Desk:
    """Everything one session test acts on."""

    def __init__(self, rig: Rig, **changes: Any) -> None:
        self.rig = rig
        self.sim = rig.sim()
        rig.run(one=rig.bench(self.sim, **changes))
        rig.ready()
        self.gdbs: list[Gdb] = []

    # GDB

    def gdb(self, *, attach: bool = True) -> Gdb:
        """Start a GDB on the demo firmware; attached unless told otherwise."""
        gdb = Gdb(firmware())
        self.gdbs.append(gdb)
        if attach:
            gdb.command(f"-target-select extended-remote localhost:{self.port}", PATIENCE)
            gdb.wait_stop(PATIENCE, attach=True)
        return gdb

    @property
    def port(self) -> int:
        """The stable GDB port."""
        return int(self.rig.status()["ports"]["gdb"][0])

    # What goes wrong

    def recoveries(self) -> int:
        """How many recoveries there were so far; the bench is ready when this returns."""
        return int(self.rig.ready()["counters"]["recoveries"])

    def pid(self) -> int:
        """The OpenOCD of the moment."""
        return int(self.rig.ready()["backend"]["pid"])

    def kill_and_recover(self) -> Bench:
        """One `kill -9`, survived."""
        before = self.recoveries()
        os.kill(self.pid(), signal.SIGKILL)
        return self.rig.recovered(before + 1)

    @contextmanager
    def dies_in(self) -> Iterator[Callable[[], None]]:
        """Stop OpenOCD; what GDB then sends it gets to its socket, and with that unread it is killed. Survived at the end.

        The body makes GDB send something and calls what it was given.
        """
        before, pid = self.recoveries(), self.pid()
        port = self.private_gdb_port()
        os.kill(pid, signal.SIGSTOP)

        def kill() -> None:
            until("see GDB's request at OpenOCD's socket", lambda: _unread(port), PATIENCE)
            os.kill(pid, signal.SIGKILL)

        try:
            yield kill
        finally:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.rig.recovered(before + 1)

    @contextmanager
    def outage(self) -> Iterator[None]:
        """The probe's cable is pulled and OpenOCD dies of it; plugged in again at the end, and survived."""
        pid = self.pid()
        self.sim.control.break_("unplugged")
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
        self.rig.until("miss the probe", lambda bench: bench["phase"] == "blocked")
        yield
        self.sim.control.heal()
        self.rig.until("come back", lambda bench: bench["phase"] == "ready" and bench["backend"]["pid"] != pid)

    def private_gdb_port(self) -> int:
        """Where the OpenOCD of the moment serves the first target."""
        lines = self.rig.ask("logs", "one", lines=200)["lines"]
        found = [re.search(r"Listening on port (\d+) for gdb", str(line["text"])) for line in lines]
        return int([match for match in found if match][-1][1])

    def core_is(self, state: str) -> None:
        """Wait until the board's core is in that state, seen from the board."""
        until(f"see the core {state}", lambda: self.sim.core() == state, PATIENCE)

    def sessions_are(self, count: int) -> None:
        """Wait until the status counts so many debug sessions."""
        self.rig.until(f"count {count} session(s)", lambda b: b["targets"] and b["targets"][0]["gdb_sessions"] == count)

    def close(self) -> None:
        """End every GDB."""
        for gdb in self.gdbs:
            gdb.close()


def _unread(port: int) -> bool:
    """Whether a client of a loopback port has written what the server has not read (proc(5), /proc/net/tcp)."""
    rows = [row.split() for row in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    return any(int(row[1].partition(":")[2], 16) == port and int(row[4].partition(":")[2], 16) for row in rows)


def value(gdb: Gdb, expression: str) -> int:
    """An expression as a number."""
    shown = gdb.command(f'-data-evaluate-expression "{expression}"')
    found = re.search(r'value="(?:\([^)]*\) )?(0x[0-9a-f]+|-?\d+)', shown)
    assert found is not None, shown
    return int(found[1], 0)


def run(gdb: Gdb) -> str:
    """Let the program run to its next stop."""
    gdb.command("-exec-continue")
    return gdb.wait_stop(PATIENCE)


def hits(gdb: Gdb, where: str = "blink") -> str:
    """Let the program run to a breakpoint in a function; returns the stop."""
    stop = run(gdb)
    assert 'reason="breakpoint-hit"' in stop, stop
    assert function(stop) == where, stop
    return stop


def let_run(desk: Desk, gdb: Gdb) -> None:
    """Let the program run, with a breakpoint ahead that it comes to only in `mode` 2; GDB waits for it."""
    gdb.command(f"-break-insert -h *{MODE_2:#x}")
    gdb.command("-exec-continue")
    desk.core_is("running")


def expect_interrupt_and_breakpoint(gdb: Gdb) -> None:
    """A program that was let run stops on the user's wish, and then at its breakpoint."""
    gdb.command("-exec-interrupt")
    assert "SIGINT" in gdb.wait_stop(PATIENCE)
    gdb.command("-data-evaluate-expression mode=2")
    assert f'addr="{MODE_2:#010x}"' in run(gdb)


def let_go(desk: Desk, gdb: Gdb) -> None:
    """Let the program run past its one breakpoint."""
    gdb.command("-break-disable 1")
    gdb.command("-exec-continue")
    desk.core_is("running")


def take_hold(gdb: Gdb) -> None:
    """Stop the program that was let go, with its breakpoint in force again."""
    gdb.command("-exec-interrupt")
    gdb.wait_stop(PATIENCE)
    gdb.command("-break-enable 1")


def reason(stop: str) -> str:
    """Why the program stopped, in MI's word."""
    return stop.partition('reason="')[2].partition('"')[0]


def function(stop: str) -> str:
    """Where the program stopped, in GDB's word."""
    return stop.partition('func="')[2].partition('"')[0]


def console(gdb: Gdb) -> str:
    """All that was printed for the user: console, target output and log streams."""
    return "\n".join(line for line in gdb.log if line[:1] in "~@&")
