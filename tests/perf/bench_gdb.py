"""Real GDB on real gdbserver through the GDB port: stepping, dump and restore beside direct and the peers, pinned."""

from __future__ import annotations

import os
import re
import subprocess
import tempfile
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType

from ocdsup.demo.stage import until
from tests.perf.common import Row, best_tenth, compiled, median, noise, pinned, shuffled, thread_cpu_s
from tests.perf.debugger import Driven
from tests.perf.paths import DIRECT, OURS, PLAIN, Way, Ways

ROUNDS, STEPS, BULK_ROUNDS = 40, 50, 9
# One breakpoint, as a person would have; where a megabyte is read from and written to.
INIT = ("break never", "tbreak main", "continue", "set $base = (unsigned long) &memory")
COMMANDS = {
    "step": "stepi",
    "dump": "dump binary memory {scratch}.out $base $base+1048576",
    "restore": "restore {scratch} binary $base",
}
GOALS = {"step": 1.50, "dump": 1.35, "restore": 1.07}


class Debugger:
    """A GDB that waits for orders, and the gdbserver it is for."""

    def __init__(self, program: Path, scratch: Path, to: Callable[[int], Way]) -> None:
        self._stack = ExitStack()
        said = scratch.with_name(f"gdbserver-{id(self)}")
        with said.open("wb") as log:  # it warns at every step on some kernels: a pipe that nobody reads would stop it
            server = subprocess.Popen(
                ["gdbserver", "127.0.0.1:0", str(program)], stdin=subprocess.DEVNULL, stderr=log, stdout=log
            )
        self._stack.callback(server.wait)
        self._stack.callback(server.kill)
        self.way = to(int(until("hear of gdbserver's port", lambda: re.findall(r"on port (\d+)", said.read_text()), 10)[0]))
        init = [f"target remote 127.0.0.1:{self.way.port}", *INIT]
        commands = {name: text.format(scratch=scratch) for name, text in COMMANDS.items()}
        self._gdb = Driven(program, init, commands)
        self._stack.callback(self._gdb.close)
        self.cpu: dict[str, float] = {}

    def times(self, command: str, count: int) -> list[float]:
        """Seconds one command takes, as the mean of `count`."""
        before = thread_cpu_s(self.way.pid) if self.way.pid else 0.0
        seconds = self._gdb.seconds(command, count)
        used = thread_cpu_s(self.way.pid) - before if self.way.pid else 0.0
        self.cpu[command] = self.cpu.get(command, 0.0) + used
        return [seconds]

    def __enter__(self) -> Debugger:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._stack.close()


def _measure(debuggers: dict[str, Debugger]) -> dict[str, dict[str, list[float]]]:
    def of(command: str, count: int) -> dict[str, Callable[[], list[float]]]:
        return {name: lambda one=one: one.times(command, count) for name, one in debuggers.items()}  # type: ignore[misc]

    return {
        "step": shuffled(ROUNDS, of("step", STEPS)),
        "dump": shuffled(BULK_ROUNDS, of("dump", 1)),
        "restore": shuffled(BULK_ROUNDS, of("restore", 1)),
    }


def _rows(seen: dict[str, dict[str, list[float]]], name: str) -> list[Row]:
    rows = []
    for command, times in seen.items():
        base = median(times[DIRECT])
        goal = GOALS[command] if name == OURS else None
        detail = f"{best_tenth(times[name], times[DIRECT])}, {base * 1e6:.0f} us direct"
        rows.append(Row(f"{name}: {command} / direct", median(times[name]) / base, goal, detail))
    return rows


def run() -> list[Row]:
    """One GDB and one gdbserver for each way."""
    with compiled("stepped") as folder, tempfile.TemporaryDirectory() as scratch, ExitStack() as stack:
        stack.enter_context(pinned())
        start = stack.enter_context(Ways(Path(scratch)))
        image = Path(scratch, "image")
        image.write_bytes(os.urandom(1 << 20))
        to: dict[str, Callable[[int], Way]] = {DIRECT: Way, OURS: start.ours, PLAIN: start.plain}
        to |= {name: lambda port, name=name: start.peer(name, port) for name in start.peers()}  # type: ignore[misc]
        debuggers = {name: stack.enter_context(Debugger(folder / "stepped", image, way)) for name, way in to.items()}
        for debugger in debuggers.values():
            debugger.times("step", STEPS)
            debugger.cpu.clear()
        seen = _measure(debuggers)
        ours, plain = (debuggers[name].cpu["step"] / (ROUNDS * STEPS) for name in (OURS, PLAIN))
    detail = f"{ours * 1e6:.0f} us / {plain * 1e6:.0f} us a step; {noise(seen['step'][DIRECT])} direct"
    cpu = Row(f"{OURS}: proxy CPU a step / asyncio Protocol", ours / plain, 0.45, detail)
    return [*(row for name in debuggers if name != DIRECT for row in _rows(seen, name)), cpu]
