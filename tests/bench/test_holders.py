"""Another OpenOCD has the probe: the stale one is ended, the one with a debug session is left alone and named."""

from __future__ import annotations

import getpass
import os
import signal

import pytest

from ocdsup.demo.gdb import Gdb
from ocdsup.demo.stage import Program, is_alive, until
from ocdsup.demo.story import firmware
from tests.bench.rig import PATIENCE, Rig, Sim, gone, number

BOTH = pytest.mark.parametrize("mode", ["hla", "dap"])


def attached(gdb: Gdb, openocd: Program) -> None:
    """Attach a GDB to a foreign OpenOCD."""
    port = number(r"Listening on port (\d+) for gdb", openocd.await_line("for gdb connections", PATIENCE))
    gdb.command(f"-target-select extended-remote localhost:{port}", PATIENCE)


@BOTH
def test_an_orphan_that_has_the_probe_at_the_start_is_ended(rig: Rig) -> None:
    """Its IDE is dead: it is named, ended, and the bench is ready."""
    sim = rig.sim()
    orphan = rig.orphan(sim)
    rig.run(one=rig.bench(sim))
    after = rig.ready()
    gone(orphan)
    assert after["counters"]["evictions"] == 1
    assert after["probe"]["holders"] == []
    evicted = rig.log("evicting")
    assert [(record["pid"], record["name"]) for record in evicted] == [(orphan, "openocd")]


@BOTH
def test_an_orphan_that_took_the_probe_during_a_crash_is_ended_and_counted(rig: Rig) -> None:
    """The recovery's rungs tell of the eviction."""
    sim = rig.sim()
    rig.run(one=rig.bench(sim))
    before = rig.ready()
    with rig.stalled():
        os.kill(before["backend"]["pid"], signal.SIGKILL)
        until("see the probe free", lambda: not sim.control.status()[0]["open"], PATIENCE)
        orphan = rig.orphan(sim)
    after = rig.recovered()
    gone(orphan)
    assert after["counters"]["evictions"] == 1
    assert "evict" in [rung for recovery in after["recoveries"] for rung in recovery["rungs"]]


@BOTH
def test_an_openocd_with_a_live_gdb_is_left_alone_named_and_waited_for(rig: Rig) -> None:
    """`blocked: probe-held` with PID, name and user, no restarts meanwhile; ready when that session ends."""
    sim = rig.sim()
    foreign = rig.openocd(sim)
    with Gdb(firmware()) as gdb:
        attached(gdb, foreign)
        rig.run(one=rig.bench(sim))
        seen = rig.until("be blocked by it", lambda bench: bench["phase"] == "blocked" and bench["probe"]["holders"])
        assert seen["fault"]["code"] == "probe-held"
        holder = seen["probe"]["holders"][0]
        assert (holder["pid"], holder["name"], holder["user"]) == (foreign.pid, "openocd", getpass.getuser())
        assert holder["stale"] is False
        for part in (str(foreign.pid), "openocd", getpass.getuser()):
            assert part in seen["fault"]["text"]
        launches = rig.launches()
        rig.until("look again", lambda bench: bench["since_s"] > 3)
        assert rig.launches() == launches
        assert is_alive(foreign.pid)
        assert gdb.command("-data-evaluate-expression $pc")
    foreign.end()
    after = rig.ready()
    assert after["fault"] is None
    assert after["counters"]["evictions"] == 0


def test_the_policy_never_ends_nobody(rig: Rig) -> None:
    """Even an orphan is left alone, until a person asks for it by force."""
    sim = rig.sim()
    orphan = rig.orphan(sim)
    rig.run(one=rig.bench(sim, holders="never"))
    seen = rig.until("be blocked by it", lambda bench: bench["phase"] == "blocked" and bench["probe"]["holders"])
    assert seen["probe"]["holders"][0]["pid"] == orphan
    assert "never" in seen["fault"]["text"]
    assert is_alive(orphan)
    answer = rig.ask("evict", "one", force=True)
    assert answer["ended"] == [orphan]
    assert rig.ready()["fault"] is None


def test_a_stopped_orphan_is_ended_as_well(rig: Rig) -> None:
    """It answers no Tcl, and SIGTERM only because it is let go on for that."""
    sim = rig.sim()
    orphan = rig.orphan(sim)
    os.kill(orphan, signal.SIGSTOP)
    rig.run(one=rig.bench(sim))
    [ended] = rig.ready()["probe"]["evicted"]
    assert (ended["pid"], ended["how"]) == (orphan, "term")
    gone(orphan)


def test_the_openocd_of_another_probe_is_never_touched(rig: Rig) -> None:
    """Two probes on one server: a stale OpenOCD on the other probe is none of this bench's business."""
    other = "0CD50B5100000000000000A1"
    sim: Sim = rig.sim("066BFF555185754867211234", other)
    orphan = rig.orphan(sim, other)
    rig.run(one=rig.bench(sim))
    before = rig.ready()
    sim.control.break_("sleeping", before["probe"]["serial"])
    rig.recovered()
    assert is_alive(orphan)
    os.kill(orphan, signal.SIGKILL)
    gone(orphan)
