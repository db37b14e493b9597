"""From the moment our OpenOCD finds a stale one in its way to a bench that is up: an orphan, a stopped one, a dead target."""

from __future__ import annotations

import os
import signal
import tempfile
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path

from ocdsup.demo.stage import until
from tests.bench.rig import PATIENCE, Rig, Sim
from tests.perf.common import Row, median, noise, pause

ROUNDS = 11
OLD_S = 16.0  # an OpenOCD that is younger than 15 s may still be starting, and its dead target says nothing yet
SERIALS = tuple(f"0670FF4953535551870{number:05}" for number in range(ROUNDS))
# An IDE: it starts an OpenOCD, writes down its PID, and waits for it.
IDE = """
import pathlib, subprocess, sys
child = subprocess.Popen(sys.argv[2:])
pathlib.Path(sys.argv[1]).write_text(str(child.pid))
child.wait()
"""


def _foreign(rig: Rig, sim: Sim, number: int) -> tuple[int, int]:
    """An IDE's OpenOCD that has the probe; the PIDs of both."""
    pidfile, first = rig.folder / f"{number}.pid", 50300 + 3 * number
    words = [f"gdb_port {first}", f"telnet_port {first + 1}", f"tcl_port {first + 2}", f"hla_stlink_backend tcp {sim.port}"]
    words.append(f"adapter serial {SERIALS[number]}")
    argv = ["openocd", "-f", "interface/stlink.cfg", *(part for word in words for part in ("-c", word))]
    ide = rig.start("ide", ["python3", "-c", IDE, str(pidfile), *argv, "-f", "target/stm32f4x.cfg"])
    ide.await_line("for gdb connections", PATIENCE)
    return ide.pid, int(pidfile.read_text())


def _orphaned(rig: Rig, sim: Sim) -> None:
    for number in range(ROUNDS):
        os.kill(_foreign(rig, sim, number)[0], signal.SIGKILL)


def _stopped(rig: Rig, sim: Sim) -> None:
    for number in range(ROUNDS):
        os.kill(_foreign(rig, sim, number)[1], signal.SIGSTOP)


def _dead(rig: Rig, sim: Sim) -> None:
    for number, serial in enumerate(SERIALS):
        _foreign(rig, sim, number)
        sim.control.break_("sleeping", serial)
    pause(OLD_S)


def _rounds(prepare: Callable[[Rig, Sim], None]) -> Iterator[tuple[float, float]]:
    """Seconds from the probe that is held to the bench that is up, and what of it the ending took, for each foreign OpenOCD."""
    with tempfile.TemporaryDirectory(prefix="ocdsup-perf-") as folder:
        rig = Rig(Path(folder))
        try:
            sim = rig.sim(*SERIALS)
            prepare(rig, sim)
            for serial in SERIALS:
                rig.run(one=rig.bench(sim, serial, recovery={"grace": "7s"}))
                until("be up", lambda: rig.log("bench_ready"), PATIENCE)
                yield _between(rig, "fault", "bench_ready"), _between(rig, "evicting", "holder_ended")
                rig.stop()
        finally:
            rig.close()


def _between(rig: Rig, first: str, last: str) -> float:
    began, ended = (datetime.fromisoformat(rig.log(event)[0]["timestamp"]) for event in (first, last))
    return (ended - began).total_seconds()


def run() -> list[Row]:
    """Each case with its own simulator, on which every foreign OpenOCD has a probe."""
    rows = []
    for name, prepare in (("orphaned", _orphaned), ("stopped", _stopped), ("with a dead target", _dead)):
        ups, ends = zip(*_rounds(prepare), strict=True)
        detail = f"s, n = {len(ups)}, ending it {1000 * median(ends):.0f} ms, slowest {max(ups):.2f} s, {noise(ups)}"
        rows.append(Row(f"a stale OpenOCD, {name}: from held to up", median(ups), 1.0, detail))
    return rows
