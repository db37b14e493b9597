"""A stepping debugger while OpenOCD's log comes at full speed into the same event loop, beside the same without the log."""

from __future__ import annotations

import statistics
import sys
import tempfile
from pathlib import Path

from tests.perf.common import HERE, Row, compiled, median, noise, pause, pinned
from tests.perf.paths import Way, Ways
from tests.perf.rsp_client import RspClient

ROUNDS, PACKETS, ADAPTER_US = 20, 100, 300
SMALL = b"m20000000,4"


def _order(way: Way, words: str) -> None:
    assert way.talk is not None
    way.talk[0].write(words.encode() + b"\n")
    way.talk[0].flush()


def _measure(folder: Path, way: Way) -> tuple[list[float], list[float], int]:
    """Seconds of a packet without and with the storm, and the lines that the storm brought."""
    client = RspClient(way.port, delay_us=ADAPTER_US)
    client.times([SMALL] * PACKETS)
    quiet, loud, lines = [], [], 0
    assert way.talk is not None
    for _ in range(ROUNDS):
        quiet += client.times([SMALL] * PACKETS)
        _order(way, f"storm {folder / 'chatter'} 0 0")
        pause(0.05)
        loud += client.times([SMALL] * PACKETS)
        _order(way, "calm")
        lines += int(way.talk[1].readline())
    client.close()
    return quiet, loud, lines


def run() -> list[Row]:
    """In turn, everything on one CPU, OpenOCD's own dialect."""
    with compiled("chatter") as folder, pinned(), tempfile.TemporaryDirectory() as scratch, Ways(Path(scratch)) as start:
        server = start.spawn([sys.executable, str(HERE / "rsp_server.py")], quiet=False)
        assert server.stdout is not None
        quiet, loud, lines = _measure(folder, start.bench(int(server.stdout.readline())))
    tail, quiet_tail = (statistics.quantiles(times, n=100)[98] for times in (loud, quiet))
    rate = lines / (sum(loud) + ROUNDS * 0.05) / 1000
    detail = f"{median(quiet) * 1e6:.0f} us quiet, {noise(quiet)}; {rate:.0f} thousand lines/s"
    return [
        Row("GDB p50 in a log storm / quiet", median(loud) / median(quiet), 1.10, detail),
        Row("GDB p99 in a log storm / quiet", tail / quiet_tail, 3.0, f"{quiet_tail * 1e6:.0f} us quiet"),
    ]
