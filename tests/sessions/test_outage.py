"""While there is no OpenOCD, GDB's user reads why, not that some connection was closed."""

from __future__ import annotations

import pytest

from ocdsup.demo.gdb import GdbError
from ocdsup.demo.stage import until
from tests.bench.rig import PATIENCE
from tests.sessions.desk import Desk, hits


@pytest.mark.parametrize("mode", ["hla"])
def test_gdb_reads_what_keeps_openocd_away(desk: Desk) -> None:
    """A resume that waits says it on the console, a request that fails in its error, and the user knows what to plug in."""
    gdb = desk.gdb()
    gdb.command("-break-insert -h blink")
    hits(gdb)
    with desk.outage():
        assert desk.rig.status()["fault"]["code"] == "probe-absent"
        with pytest.raises(GdbError) as failed:
            gdb.command('-interpreter-exec console "monitor targets"', PATIENCE)
        assert "Protocol error" in str(failed.value)
        gdb.send("-exec-continue")
        until("hear that the program waits", lambda: any("goes on when it is back" in line for line in gdb.log), PATIENCE)
        told = [line for line in gdb.log if "OpenOCD is away" in line]
        assert len(told) == 2
        assert all("is away (blocked, " in line and "no debug probe is behind" in line for line in told), told
    gdb.wait_stop(PATIENCE)
