"""Flash drivers that look at a chip only while its core is halted (RP2040, LPC17xx, SAM4, XMC4000, FM4 ...), which OpenOCD does
for each GDB that connects: it gets in all the same, and the core is left as its user had it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing

import pytest

from tests.bench.rig import PATIENCE, Rig
from tests.sessions.desk import Desk, hits, let_run, reason

# This driver asks for a halted core (0.12 fm4.c fm4_probe) and for nothing that only its chip has.
PICKY = "flash bank picky fm4 0x90000000 0 0 0 stm32f4x.cpu MB9BFx64"


@pytest.fixture
def desk(rig: Rig) -> Iterator[Desk]:
    """A desk whose chip has such a flash."""
    with closing(Desk(rig, openocd={"commands": [PICKY]})) as desk:
        yield desk


@pytest.mark.parametrize("mode", ["hla", pytest.param("dap", marks=pytest.mark.system)])
def test_gdb_attaches_to_a_running_core(desk: Desk) -> None:
    """The core is halted for the attach, as OpenOCD's own gdb-attach event would do."""
    desk.core_is("running")
    gdb = desk.gdb()
    assert desk.sim.core() == "halted"
    gdb.command("-break-insert -h blink")
    assert reason(hits(gdb)) == "breakpoint-hit"


@pytest.mark.parametrize("mode", ["hla", pytest.param("dap", marks=pytest.mark.system)])
def test_a_program_that_runs_goes_on_after_a_restart(desk: Desk) -> None:
    """GDB waits for a breakpoint: the new OpenOCD gets its halted core for a moment, and the breakpoint is hit."""
    gdb = desk.gdb()
    let_run(desk, gdb)
    desk.kill_and_recover()
    desk.sessions_are(1)
    desk.core_is("running")
    desk.rig.tcl("mww 0x20000038 2")  # `mode`: the firmware now comes to the breakpoint
    assert 'reason="breakpoint-hit"' in gdb.wait_stop(PATIENCE)
