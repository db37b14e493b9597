"""A second GDB on the same port: refused in plain words, in the place of an idle one, or beside the first one."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import closing

import pytest

from ocdsup.demo.gdb import Gdb, GdbError
from ocdsup.demo.stage import until
from ocdsup.demo.story import firmware
from tests.bench.rig import PATIENCE, Rig
from tests.sessions.desk import MODE_2, Desk, console, hits, value


@pytest.fixture
def second_client() -> str:
    """The policy of the bench."""
    return "refuse"


@pytest.fixture
def desk(rig: Rig, second_client: str) -> Iterator[Desk]:
    """A desk whose bench has that policy."""
    with closing(Desk(rig, second_client=second_client, takeover_after="2s")) as desk:
        yield desk


def silent_for(seconds: float) -> None:
    """Let the first debugger say nothing for so long: this is what the test is about."""
    threading.Event().wait(seconds)


def at_blink(desk: Desk) -> Gdb:
    """The first GDB, at its breakpoint."""
    gdb = desk.gdb()
    gdb.command("-break-insert -h blink")
    hits(gdb)
    return gdb


def refused(desk: Desk) -> str:
    """A second GDB that gets no place; returns all that it printed."""
    second = desk.gdb(attach=False)
    with pytest.raises(GdbError):
        second.command(f"-target-select extended-remote localhost:{desk.port}", PATIENCE)
    return "\n".join(second.log)


def test_refuse_says_why_and_leaves_the_first_alone(desk: Desk) -> None:
    """The default: the second GDB is told that another debugger is attached; the first one does not notice."""
    first = at_blink(desk)
    before = value(first, "blinks")
    assert "another debugger is attached" in refused(desk)
    assert desk.rig.status()["targets"][0]["gdb_sessions"] == 1
    hits(first)
    assert value(first, "blinks") == before + 1


@pytest.mark.parametrize("second_client", ["takeover"])
@pytest.mark.parametrize("mode", ["hla"])
def test_takeover_waits_until_the_first_is_idle(desk: Desk) -> None:
    """Whose program runs keeps the place, however silent; halted and silent it loses it, and the core stays as it was."""
    first = desk.gdb()
    first.command(f"-break-insert -h *{MODE_2:#x}")
    first.command("-exec-continue")
    desk.core_is("running")
    silent_for(2.5)
    assert "another debugger is attached to this target and not idle" in refused(desk)
    desk.rig.tcl("mww 0x20000038 2")
    first.wait_stop(PATIENCE)
    before = value(first, "counter")
    silent_for(2.5)
    second = desk.gdb()
    assert (value(second, "$pc"), value(second, "counter")) == (MODE_2, before)
    desk.sessions_are(1)
    second.command("-break-insert -h blink")
    hits(second)
    assert desk.rig.log("gdb_gone")[-1]["reason"] == "taken over"


@pytest.mark.parametrize("second_client", ["takeover"])
@pytest.mark.parametrize("mode", ["hla"])
def test_the_place_of_a_dead_debugger_is_free_at_once(desk: Desk) -> None:
    """Its program ran, so it was not idle; but its connection is gone."""
    first = desk.gdb()
    first.command("-exec-continue")
    desk.core_is("running")
    os.kill(first.pid, signal.SIGKILL)
    desk.sessions_are(0)
    assert value(desk.gdb(), "$pc") != 0


@pytest.mark.parametrize("second_client", ["share"])
def test_share_reads_memory_while_the_first_runs(desk: Desk) -> None:
    """Live watch: the second GDB does not halt the core, takes no breakpoint away, and leaves the core running."""
    first = desk.gdb()
    first.command("-break-insert -h *0x080000bc")
    first.command("-exec-continue")
    desk.core_is("running")
    second = Gdb(firmware())
    desk.gdbs.append(second)
    for line in ("set stack-cache off", "set remote interrupt-on-connect off"):
        second.command(f"-gdb-{line}")
    second.command(f"-target-select extended-remote localhost:{desk.port}", PATIENCE)
    assert desk.sim.core() == "running"
    seen = value(second, "counter")
    second.command('-interpreter-exec console "maintenance flush dcache"')
    until("see it count", lambda: value(second, "counter") != seen, PATIENCE)
    desk.kill_and_recover()
    second.command('-interpreter-exec console "maintenance flush dcache"')
    assert value(second, "counter") > 0
    assert desk.sim.core() == "running"
    second.close()
    desk.sessions_are(1)
    assert desk.sim.core() == "running"
    desk.rig.tcl("mww 0x20000038 2")
    assert 'addr="0x080000bc"' in first.wait_stop(PATIENCE), console(first)
