"""A developer's desk with a chip of two cores: a GDB on each, one OpenOCD behind both."""

from __future__ import annotations

import os
import signal
from typing import Any

from ocdsup.demo.gdb import Gdb
from ocdsup.demo.stage import until
from ocdsup.demo.story import firmware
from ocdsup.sim.board import target_file
from ocdsup.sim.boards import BOARDS
from tests.bench.rig import PATIENCE, SERIAL, Bench, Rig
from tests.sessions.desk import hits, value

NAMES = ["dual.cpu0", "dual.cpu1"]
IN_GROUP = "target smp dual.cpu0 dual.cpu1"


class Two:
    """A developer with two debuggers."""

    def __init__(self, rig: Rig, *commands: str, **changes: Any) -> None:
        self.rig = rig
        self.sim = rig.sim(board="dual-m4")
        config = ["interface/stlink-dap.cfg", target_file(BOARDS["dual-m4"])]
        rig.run(one=rig.bench(self.sim, openocd={"config": config, "commands": list(commands)}, **changes))
        rig.ready()
        self.gdbs: list[Gdb] = []

    def gdb(self, core: int) -> Gdb:
        """Attach to a core by its stable port."""
        gdb = Gdb(firmware())
        self.gdbs.append(gdb)
        gdb.command(f"-target-select extended-remote localhost:{self.port(core)}", PATIENCE)
        gdb.wait_stop(PATIENCE, attach=True)
        return gdb

    def port(self, core: int) -> int:
        """The stable port of a core."""
        return int(self.rig.status()["targets"][core]["gdb_port"])

    def cores(self) -> list[str]:
        """The states of the cores as the board knows them; one that waits for an interrupt runs."""
        probe = next(probe for probe in self.sim.control.status() if probe["serial"] == SERIAL)
        return ["running" if state == "sleeping" else str(state) for state in probe["cores"]]

    def cores_are(self, *states: str) -> None:
        """Wait until the board's cores are in these states, and the status shows it."""
        until(f"see the cores {states}", lambda: self.cores() == list(states), PATIENCE)
        self.rig.until(f"show {states}", lambda bench: [target["state"] for target in bench["targets"]] == list(states))

    def close(self) -> None:
        """End every GDB."""
        for gdb in self.gdbs:
            gdb.close()

    def kill_and_recover(self) -> Bench:
        """One `kill -9`, survived."""
        before = self.rig.ready()
        os.kill(before["backend"]["pid"], signal.SIGKILL)
        return self.rig.recovered(before["counters"]["recoveries"] + 1)


def stands_in_blink(gdb: Gdb) -> None:
    """Set a breakpoint and run to it."""
    gdb.command("-break-insert -h blink")
    hits(gdb)


def blinks_in_passing(gdb: Gdb) -> int:
    """Interrupt a running core for a look at its count of blinks, and let it run on."""
    interrupt(gdb)
    blinks = value(gdb, "blinks")
    gdb.command("-exec-continue")
    return blinks


def interrupt(gdb: Gdb) -> None:
    """Stop a running core."""
    gdb.command("-exec-interrupt")
    assert "SIGINT" in gdb.wait_stop(PATIENCE)
