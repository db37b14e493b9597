"""The look for who holds a probe, beside lsof on the same node, on a machine with a thousand processes more than it has."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from time import perf_counter

from ocdsup.runtime import procfs, procs
from tests.perf.common import Row, interleaved, median, noise

PROCESSES = 1000
ROUNDS = 15
NODE = "/dev/full"  # a character device that anybody may open and next to nobody does, in the place of the probe's node
HOLD = "import sys; probe = open(sys.argv[1]); print('open', flush=True); sys.stdin.read()"


@contextmanager
def crowd() -> Iterator[int]:
    """So many processes that hold nothing of interest, and one that holds the node; its PID."""
    argv = [sys.executable, "-c", HOLD, NODE]
    sleepers = [subprocess.Popen(["sleep", "3600"], stdin=subprocess.DEVNULL) for _ in range(PROCESSES)]
    holder = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert holder.stdout is not None
    holder.stdout.readline()
    try:
        yield holder.pid
    finally:
        for process in (holder, *sleepers):
            process.kill()
        for process in (holder, *sleepers):
            process.wait()


def run() -> list[Row]:
    """Both must name the holder; the time is that of a whole look, judgement's facts and all, and of a whole lsof."""
    with crowd() as pid:

        def ours() -> float:
            began = perf_counter()
            report = procs.find_holders(procs.wanted([NODE]), budget_s=60.0)
            took = perf_counter() - began
            assert [holder.pid for holder in report.holders if holder.pid == pid] == [pid]
            return took

        def theirs() -> float:
            began = perf_counter()
            told = subprocess.run(["lsof", "-nP", "-t", NODE], capture_output=True, text=True, check=True)
            took = perf_counter() - began
            assert str(pid) in told.stdout.split()
            return took

        looks, lsof = interleaved(ROUNDS, ours, theirs)
        count = procfs.scan(procfs.Targets(), budget_s=60.0).looked_at
    detail = f"{1000 * median(looks):.0f} ms / {1000 * median(lsof):.0f} ms, {count} processes, {noise(looks)}"
    return [Row("look for holders / lsof", median(looks) / median(lsof), 0.6, detail)]
