"""The board with two cores under a real OpenOCD 0.12: two targets, two GDB servers, one reset."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from ocdsup.sim.board import target_file
from ocdsup.sim.boards import BOARDS
from ocdsup.sim.probe import Probe
from ocdsup.sim.server import SimServer, make_probe

pytestmark = pytest.mark.bench

Start = Callable[..., Any]
STATES = "list [dual.cpu0 curstate] [dual.cpu1 curstate]"
POLL = "dual.cpu0 arp_poll; dual.cpu1 arp_poll; "
WORD = "lindex [read_memory 0x20001000 32 1] 0"
HALT_1 = "dual.cpu1 arp_halt; dual.cpu1 arp_waitstate halted 1000"


@pytest.fixture
def mode() -> str:
    """HLA reaches access port 0 only."""
    return "dap"


@pytest.fixture
async def probes() -> list[Probe]:
    """One probe with the board that has two cores."""
    return [make_probe(board="dual-m4")]


@pytest.fixture
def start(openocd: Start) -> Start:
    """Start OpenOCD on it."""
    return lambda *commands: openocd(*commands, target=target_file(BOARDS["dual-m4"]))


async def test_both_cores_are_found_and_each_has_a_gdb_server(start: Start) -> None:
    async with start("init") as run:
        at = 0
        for core in ("dual.cpu0", "dual.cpu1"):
            await run.line(f"[{core}] Cortex-M4 r0p1 processor detected")
            at = await run.line(f"starting gdb server for {core} on 0", at)
            at = await run.line("for gdb connections", at)
        ports = {line.split("port ")[1].split()[0] for line in run.lines if "for gdb connections" in line}
        assert len(ports) == 2


async def test_each_core_is_halted_resumed_and_written_for_itself(start: Start) -> None:
    async with start("init") as run:
        await run.line("for telnet connections")
        await run.tcl(HALT_1)
        assert await run.tcl(POLL + STATES) == "running halted"
        await run.tcl("targets dual.cpu1; mww 0x20001000 7")
        assert await run.tcl("targets dual.cpu0; " + WORD) != await run.tcl("targets dual.cpu1; " + WORD) == "0x7"
        await run.tcl("targets dual.cpu1; resume")
        assert await run.tcl(POLL + STATES) == "running running"


@pytest.mark.parametrize("config", ["", "reset_config srst_only", "reset_config srst_only connect_assert_srst"])
@pytest.mark.parametrize(("how", "states"), [("halt", "halted halted"), ("run", "running running")])
async def test_a_reset_is_one_of_both_cores(start: Start, sim: SimServer, config: str, how: str, states: str) -> None:
    """By SYSRESETREQ, by NRST, and by NRST that is held while OpenOCD connects."""
    [probe] = sim.probes
    boots = probe.board.boots
    async with start(config or "list", "init") as run:
        await run.line("for telnet connections")
        await run.tcl(f"reset {how}")
        assert await run.tcl(POLL + STATES) == states
        assert probe.board.boots > boots


async def test_of_two_cores_one_may_stop_answering(start: Start, sim: SimServer) -> None:
    [probe] = sim.probes
    async with start("init") as run:
        at = await run.line("for telnet connections")
        probe.break_("sleeping", {"core": 1}, sim.now())
        at = await run.line("Polling target dual.cpu1 failed, trying to reexamine", at)
        at = await run.line("Examination failed, GDB will be halted.", at)
        probe.heal(None, sim.now())
        await run.line("[dual.cpu1] Cortex-M4 r0p1 processor detected", at)
        assert not run.said("Polling target dual.cpu0 failed")
