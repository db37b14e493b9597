"""Synthetic RSP packets through the GDB port, beside direct and beside the peers: pinned, chunks in random order."""

from __future__ import annotations

import statistics
import sys
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path

from tests.perf.common import HERE, Row, best_tenth, median, noise, pause, pinned, shuffled, thread_cpu_s
from tests.perf.paths import BENCH, DIRECT, OURS, PLAIN, Way, Ways
from tests.perf.rsp_client import RspClient

ROUNDS = 40
SMALL, BIG = b"m20000000,4", b"m20000000,4000"
WRITE = b"X20000000,4000:" + b"\x5a" * 0x4000
ADAPTER_US = 1000


def _cases(ways: dict[str, Way], mine: set[str]) -> dict[str, dict[str, list[float]]]:
    """Seconds for each kind of packet and each way: first without acks, then with: a bench takes one debugger at a time."""
    fast = {name: RspClient(way.port) for name, way in ways.items()}
    cases: dict[str, Callable[[str], list[float]]] = {
        "1 ms": lambda name: fast[name].slowed(ADAPTER_US, [SMALL] * 20),
        "small": lambda name: fast[name].times([SMALL] * 60),
        "read 16 KiB": lambda name: fast[name].times([BIG] * 20),
        "write 16 KiB": lambda name: fast[name].times([WRITE] * 20),
    }
    measures = {
        f"{case}/{name}": (lambda case=case, name=name: cases[case](name))
        for case in cases
        for name in ways
        if name in mine or case != "write 16 KiB"
    }
    seen = shuffled(ROUNDS, measures)
    for client in fast.values():
        client.close()
    pause(0.5)  # until each way has seen the end
    acks = {name: RspClient(way.port, acks=True) for name, way in ways.items()}
    splits = {name: partial(client.split_times, SMALL, 30) for name, client in acks.items()}
    acked = shuffled(ROUNDS, splits)
    for client in acks.values():
        client.close()
    found = {case: {name: seen[f"{case}/{name}"] for name in ways if f"{case}/{name}" in seen} for case in cases}
    return {**found, "ack": acked}


def _ratio(case: dict[str, list[float]], name: str) -> float:
    return median(case[name]) / median(case[DIRECT])


def _rows(seen: dict[str, dict[str, list[float]]], name: str) -> list[Row]:
    ours = name in (OURS, BENCH)
    p99 = statistics.quantiles(seen["ack"][name], n=100)[98] * 1000
    base = {
        case: f"{best_tenth(times[name], times[DIRECT])}, {median(times[DIRECT]) * 1e6:.0f} us direct"
        for case, times in seen.items()
        if name in times
    }
    rows = [
        Row(f"{name}: p50 at 1 ms / direct", _ratio(seen["1 ms"], name), 1.08 if ours else None, base["1 ms"]),
        Row(f"{name}: 16 KiB read / direct", _ratio(seen["read 16 KiB"], name), 2.9 if ours else None, base["read 16 KiB"]),
        Row(f"{name}: ack p99, ms", p99, 10 if ours else None),
        Row(f"{name}: small packet / direct", _ratio(seen["small"], name), None, base["small"]),
    ]
    if name in seen["write 16 KiB"]:
        rows.append(Row(f"{name}: 16 KiB write / direct", _ratio(seen["write 16 KiB"], name), None, base["write 16 KiB"]))
    return rows


def run() -> list[Row]:
    """All ways at once in front of one server."""
    with pinned(), tempfile.TemporaryDirectory() as folder, Ways(Path(folder)) as start:
        server = start.spawn([sys.executable, str(HERE / "rsp_server.py")], quiet=False)
        assert server.stdout is not None
        upstream = int(server.stdout.readline())
        ways = {
            DIRECT: Way(upstream),
            OURS: start.ours(upstream),
            BENCH: start.bench(upstream),
            PLAIN: start.plain(upstream),
            **{name: start.peer(name, upstream) for name in start.peers()},
        }
        cpu = {name: thread_cpu_s(way.pid) for name, way in ways.items() if way.pid}
        seen = _cases(ways, {DIRECT, OURS, BENCH, PLAIN, "haproxy"})
        cpu = {name: thread_cpu_s(ways[name].pid or 0) - before for name, before in cpu.items()}
    rows = [row for name in ways if name != DIRECT for row in _rows(seen, name)]
    detail = f"{cpu[OURS]:.2f} s / {cpu[PLAIN]:.2f} s, {noise(seen['1 ms'][DIRECT])} direct at 1 ms"
    return [*rows, Row(f"{OURS}: CPU for all of it / asyncio Protocol", cpu[OURS] / cpu[PLAIN], None, detail)]
