"""What the benchmarks share: a row of the table, paired rounds, pinning, CPU and memory of a process, small C programs."""

from __future__ import annotations

import os
import random
import re
import socket
import statistics
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Event

from ocdsup.demo import stage as stages

TICK = os.sysconf("SC_CLK_TCK")
HERE = Path(__file__).parent


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table: what was compared, the ratio, and the goal it is held against (`<=` or `>=`).

    Without a goal it is a peer, shown beside ours for the reader.
    """

    name: str
    value: float
    goal: float | None
    detail: str = ""
    at_least: bool = False

    @property
    def met(self) -> bool:
        """Whether the goal is met, if there is one."""
        if self.goal is None:
            return True
        return self.value >= self.goal if self.at_least else self.value <= self.goal

    def __str__(self) -> str:
        verdict = "peer" if self.goal is None else "met " if self.met else "MISS"
        goal = "" if self.goal is None else f"{'>=' if self.at_least else '<='} {self.goal:g}"
        return f"{verdict}  {self.name:<58} {self.value:8.2f}  {goal:<8} {self.detail}"


def interleaved(rounds: int, *measures: Callable[[], float]) -> tuple[list[float], ...]:
    """Call the measures in turn, `rounds` times, so that a noisy minute hits all of them alike."""
    results: tuple[list[float], ...] = tuple([] for _ in measures)
    for _ in range(rounds):
        for seen, measure in zip(results, measures, strict=True):
            seen.append(measure())
    return results


def shuffled(rounds: int, measures: Mapping[str, Callable[[], list[float]]]) -> dict[str, list[float]]:
    """Call the measures `rounds` times, each round in another order; join what each returned."""
    results: dict[str, list[float]] = {name: [] for name in measures}
    order = list(measures)
    for _ in range(rounds):
        random.shuffle(order)
        for name in order:
            results[name] += measures[name]()
    return results


def median(values: Sequence[float]) -> float:
    """The middle value."""
    return statistics.median(values)


def best_tenth(values: Sequence[float], base: Sequence[float]) -> str:
    """The ratio of the fastest tenths: what it is when nobody else wants the CPU."""
    return f"best tenth {statistics.quantiles(values, n=10)[0] / statistics.quantiles(base, n=10)[0]:.2f}"


def noise(values: Sequence[float]) -> str:
    """How far the quarters lie from the median, in percent: the reader judges a ratio by it."""
    low, middle, high = statistics.quantiles(values, n=4)
    return f"noise -{100 * (1 - low / middle):.0f}/+{100 * (high / middle - 1):.0f} %"


def pause(seconds: float) -> None:
    """Wait."""
    Event().wait(seconds)


@contextmanager
def pinned() -> Iterator[None]:
    """This process, and all it starts meanwhile, on one CPU: otherwise a wake-up across CPUs costs more than any proxy."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {max(before)})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


@contextmanager
def compiled(*names: str) -> Iterator[Path]:
    """A folder with the C programs of this folder, compiled."""
    with tempfile.TemporaryDirectory(prefix="ocdsup-perf-") as folder:
        for name in names:
            subprocess.run(["cc", "-O1", "-g", "-o", f"{folder}/{name}", str(HERE / f"{name}.c")], check=True)
        yield Path(folder)


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port: int = free.getsockname()[1]
        return port


def plain_openocd(sim_port: int, *words: str) -> list[str]:
    """The command line of an OpenOCD without ocdsup on the simulated probe, with further commands."""
    argv = ["openocd", "-f", "interface/stlink.cfg", "-c", f"hla_stlink_backend tcp {sim_port}", "-f", "target/stm32f4x.cfg"]
    return [*argv, *(part for word in words for part in ("-c", word))]


@contextmanager
def configured(more: str) -> Iterator[None]:
    """The daemons that a stage starts meanwhile have these lines in their bench's configuration too."""
    plain = stages.CONFIG
    stages.CONFIG = plain + more
    try:
        yield
    finally:
        stages.CONFIG = plain


def cpu_s(pid: int) -> float:
    """CPU seconds a process has used, itself only (proc(5), stat fields 14 and 15)."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICK


def thread_cpu_s(pid: int) -> float:
    """CPU seconds of a process's main thread, to the nanosecond (proc(5), schedstat)."""
    return int(Path(f"/proc/{pid}/schedstat").read_text().split()[0]) / 1e9


def uss_kib(pid: int) -> int:
    """Memory that would be freed if the process ended, KiB."""
    text = Path(f"/proc/{pid}/smaps_rollup").read_text()
    return sum(int(size) for size in re.findall(r"^Private_\w+:\s+(\d+)", text, re.MULTILINE))


def wakeups(pid: int) -> int:
    """How often the process went to sleep by itself, which is how often it was woken."""
    text = Path(f"/proc/{pid}/status").read_text()
    return int(re.findall(r"^voluntary_ctxt_switches:\s+(\d+)", text, re.MULTILINE)[0])
