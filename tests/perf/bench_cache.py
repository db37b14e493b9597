"""Real GDB on real OpenOCD behind a slow adapter: a `stepi` through a bench with and without `cache: true`, and straight."""

from __future__ import annotations

import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path

from ocdsup.demo.stage import Stage
from ocdsup.demo.story import firmware
from tests.perf.common import HERE, Row, configured, median, noise, plain_openocd, shuffled
from tests.perf.debugger import Driven

ROUNDS, STEPS = 12, 20
# Microseconds of one USB transaction. OpenOCD needs three of them for a word of memory: 1 ms for each packet that reads.
TRANSACTION_US = 250
DIRECT, PLAIN, CACHE = "direct", "bench", "bench with cache"
# The firmware counts without sleeping: stepping over WFI would measure the simulated clock.
INIT = ("break blink", "set var mode=1", "continue")
COMMANDS = {"step": "stepi", "read": "x/1xw 0x20000000"}


def _slowed(stage: Stage, stack: ExitStack) -> None:
    """The simulated probe, each transaction later."""
    stage.start_sim()
    argv = [sys.executable, str(HERE / "slow_relay.py"), str(stage.sim_port), str(TRANSACTION_US)]
    relay = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
    stack.callback(relay.wait)
    stack.callback(relay.kill)
    assert relay.stdout is not None
    stage.sim_port = int(relay.stdout.readline())


def _openocd(stage: Stage) -> int:
    """A plain OpenOCD on it; returns its GDB port."""
    words = ["gdb_port 0", "tcl_port disabled", "telnet_port disabled", "init"]
    line = stage.start("openocd", plain_openocd(stage.sim_port, *words)).await_line("for gdb connections")
    return int(line.split("port ")[1].split()[0])


def _bench(stage: Stage, *, cache: bool) -> int:
    """A daemon with it as its bench; returns the stable port."""
    with configured(f"    cache: {str(cache).lower()}\n"):
        stage.start_daemon()
    return int(stage.await_bench("be ready", lambda bench: bench["phase"] == "ready")["ports"]["gdb"][0])


def run() -> list[Row]:
    """Three GDBs, each with a board of its own, in turn."""
    with ExitStack() as stack:
        gdbs = {}
        for name in (DIRECT, PLAIN, CACHE):
            stage = stack.enter_context(Stage(0, 0))
            _slowed(stage, stack)
            port = _openocd(stage) if name == DIRECT else _bench(stage, cache=name == CACHE)
            gdbs[name] = Driven(Path(firmware()), [f"target extended-remote 127.0.0.1:{port}", *INIT], COMMANDS)
            stack.callback(gdbs[name].close)
        seen = shuffled(ROUNDS, {name: lambda gdb=gdb: [gdb.seconds("step", STEPS)] for name, gdb in gdbs.items()})  # type: ignore[misc]
        reads = shuffled(ROUNDS, {name: lambda gdb=gdb: [gdb.seconds("read", STEPS)] for name, gdb in gdbs.items()})  # type: ignore[misc]
    base = median(seen[DIRECT])
    detail = f"{base * 1e3:.1f} ms direct, {noise(seen[DIRECT])}; a read takes {median(reads[DIRECT]) * 1e3:.2f} ms"
    return [
        Row("slow adapter: stepi with cache / direct", median(seen[CACHE]) / base, 1.0, detail),
        Row("slow adapter: stepi without cache / direct", median(seen[PLAIN]) / base, 1.08, detail),
        Row("slow adapter: read without cache / direct", median(reads[PLAIN]) / median(reads[DIRECT]), 1.08),
    ]
