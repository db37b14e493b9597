"""What the benchmarks share: a row of the table, paired rounds, CPU and memory of a process."""

from __future__ import annotations

import os
import re
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

TICK = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table: what was compared, the ratio, and the goal it is held against (`<=` or `>=`)."""

    name: str
    value: float
    goal: float
    detail: str
    at_least: bool = False

    @property
    def met(self) -> bool:
        """Whether the goal is met."""
        return self.value >= self.goal if self.at_least else self.value <= self.goal

    def __str__(self) -> str:
        sign = ">=" if self.at_least else "<="
        return f"{'met ' if self.met else 'MISS'}  {self.name:<58} {self.value:8.2f}  {sign} {self.goal:<6g} {self.detail}"


def interleaved(rounds: int, *measures: Callable[[], float]) -> tuple[list[float], ...]:
    """Call the measures in turn, `rounds` times, so that a noisy minute hits all of them alike."""
    results: tuple[list[float], ...] = tuple([] for _ in measures)
    for _ in range(rounds):
        for seen, measure in zip(results, measures, strict=True):
            seen.append(measure())
    return results


def median(values: Sequence[float]) -> float:
    """The middle value."""
    return statistics.median(values)


def cpu_s(pid: int) -> float:
    """CPU seconds a process has used, itself only (proc(5), stat fields 14 and 15)."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICK


def uss_kib(pid: int) -> int:
    """Memory that would be freed if the process ended, KiB."""
    text = Path(f"/proc/{pid}/smaps_rollup").read_text()
    return sum(int(size) for size in re.findall(r"^Private_\w+:\s+(\d+)", text, re.MULTILINE))


def wakeups(pid: int) -> int:
    """How often the process went to sleep by itself, which is how often it was woken."""
    text = Path(f"/proc/{pid}/status").read_text()
    return int(re.findall(r"^voluntary_ctxt_switches:\s+(\d+)", text, re.MULTILINE)[0])
