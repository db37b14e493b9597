"""Real GDB on real gdbserver through the GDB port: stepping, dump and restore beside direct and the peers, pinned."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import IO

from ocdsup.demo.stage import until
from tests.perf.common import HERE, Row, compiled, median, noise, pinned, shuffled, thread_cpu_s
from tests.perf.paths import DIRECT, OURS, PLAIN, Way, Ways

ROUNDS, STEPS, BULK_ROUNDS = 40, 50, 9
GOALS = {"step": 1.50, "dump": 1.35, "restore": 1.07}


class Debugger:
    """A GDB that waits for orders, and the gdbserver it is for."""

    def __init__(self, program: Path, scratch: Path, to: Callable[[int], Way]) -> None:
        self._stack = ExitStack()
        said = scratch.with_name(f"gdbserver-{id(self)}")
        with said.open("wb") as log:  # it warns at every step on some kernels: a pipe that nobody reads would stop it
            self._spawn(["gdbserver", "127.0.0.1:0", str(program)], {}, log)
        self.way = to(int(until("hear of gdbserver's port", lambda: re.findall(r"on port (\d+)", said.read_text()), 10)[0]))
        argv = [shutil.which("gdb") or "gdb-multiarch", "-nx", "-q", "-batch", "-x", str(HERE / "gdb_drive.py"), str(program)]
        self._gdb = self._spawn(argv, {"PERF_PORT": str(self.way.port), "PERF_SCRATCH": str(scratch)})
        self._answer()
        self.cpu: dict[str, float] = {}

    def _spawn(self, argv: list[str], env: dict[str, str], log: IO[bytes] | None = None) -> subprocess.Popen[bytes]:
        errors = subprocess.DEVNULL if log is None else log
        pipe = subprocess.PIPE
        process = subprocess.Popen(argv, stdin=pipe, stdout=pipe, stderr=errors, env={**os.environ, **env})
        self._stack.callback(process.wait)
        self._stack.callback(process.kill)
        return process

    def _answer(self) -> str:
        assert self._gdb.stdout is not None
        for line in self._gdb.stdout:
            if line.startswith(b"@"):
                return line[1:].decode().strip()
        raise RuntimeError("GDB has ended")

    def times(self, command: str, count: int) -> list[float]:
        """Seconds one command takes, as the mean of `count`."""
        assert self._gdb.stdin is not None
        before = thread_cpu_s(self.way.pid) if self.way.pid else 0.0
        self._gdb.stdin.write(f"{command} {count}\n".encode())
        self._gdb.stdin.flush()
        seconds = float(self._answer()) / count
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
        rows.append(Row(f"{name}: {command} / direct", median(times[name]) / base, goal, f"{base * 1e6:.0f} us direct"))
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
