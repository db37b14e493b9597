"""Reading and classifying a full-speed `-d3` log, beside a raw `os.read` loop: one write() of 120 bytes a line."""

from __future__ import annotations

import asyncio
import os
import pty
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter, process_time

from ocdsup.openocd.catalogue import load_builtin
from ocdsup.openocd.classify import Classifier
from ocdsup.openocd.lines import LineSplitter
from ocdsup.runtime.launcher import Process
from tests.perf.common import Row, compiled, median, noise, pinned

ROUNDS, LINES, HITS = 15, 200_000, 40
WANTED = "jtag-status-invalid"


@dataclass(frozen=True, slots=True)
class Run:
    """One child read to its end: wall and CPU seconds of the reader, findings, lines."""

    wall: float
    cpu: float
    hits: int = 0
    lines: int = 0


def _raw(argv: list[str]) -> Run:
    pid, master = pty.fork()
    if pid == 0:
        os.execv(argv[0], argv)
    wall, cpu = perf_counter(), process_time()
    try:
        while os.read(master, 65536):
            pass
    except OSError:  # EIO: the child has ended
        pass
    run = Run(perf_counter() - wall, process_time() - cpu)
    os.close(master)
    os.waitpid(pid, 0)
    return run


async def _ours(argv: list[str]) -> Run:
    loop = asyncio.get_running_loop()
    ended: asyncio.Future[str] = loop.create_future()
    catalogue = load_builtin()
    splitter, classifier = LineSplitter(catalogue.needles), Classifier(catalogue)
    found = lines = 0

    def on_output(data: bytes) -> None:
        nonlocal found, lines
        for line in splitter.feed(data):
            lines += 1
            found += sum(finding.rule_id == WANTED for finding in classifier.feed(line, loop.time()))

    Process(argv, dict(os.environ), on_output, ended.set_result)
    wall, cpu = perf_counter(), process_time()  # as for the raw loop: after the fork
    await ended
    return Run(perf_counter() - wall, process_time() - cpu, found, lines + splitter.debug_lines)


def _both(program: Path) -> tuple[list[Run], list[Run]]:
    argv = [str(program), str(LINES), str(HITS)]
    raw, ours = [], []
    for number in range(ROUNDS):
        for mine in (True, False) if number % 2 else (False, True):
            if mine:
                ours.append(asyncio.run(_ours(argv)))
            else:
                raw.append(_raw(argv))
    return raw, ours


def run() -> list[Row]:
    """Both readers in turn, on one CPU with their child."""
    load_builtin()
    with compiled("chatter") as folder, pinned():
        raw, ours = _both(folder / "chatter")
    wall, raw_wall = median([one.wall for one in ours]), median([one.wall for one in raw])
    cpu, raw_cpu = median([one.cpu for one in ours]), median([one.cpu for one in raw])
    lost = sum(HITS - one.hits + LINES - one.lines for one in ours)
    rates = f"{LINES / wall / 1000:.0f} / {LINES / raw_wall / 1000:.0f} thousand lines/s, {noise([one.wall for one in raw])}"
    return [
        Row("drain and classify: rate / raw read loop", raw_wall / wall, 0.75, rates, at_least=True),
        Row("drain and classify: CPU / raw read loop", cpu / raw_cpu, 3.0, f"{cpu * 1000:.0f} ms / {raw_cpu * 1000:.0f} ms"),
        Row("drain and classify: lines and hits lost", lost, 0, f"of {ROUNDS} x {LINES} lines with {HITS} hits"),
    ]
