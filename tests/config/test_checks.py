"""What no part shows by itself: ports and probes used twice, binds without a guard."""

from collections.abc import Callable

import pytest

from ocdsup.config.load import load
from ocdsup.errors import Problem

Faults = Callable[[str], tuple[Problem, ...]]


def two(first: str, second: str) -> str:
    bench = "openocd: {{config: [x]}}, {}"
    return f"version: 1\nbenches:\n  a: {{{bench.format(first)}}}\n  b: {{{bench.format(second)}}}\n"


FREE = "ports: {gdb: 0, telnet: 0}"


@pytest.mark.parametrize(
    ("first", "second", "path", "sentence"),
    [
        ("probe: {serial: A}, ports: {gdb: 1, telnet: 2}", "probe: {serial: B}, ports: {gdb: 2, telnet: 3}",
         "benches.b.ports.gdb", "port 2 is already used by benches.a.ports.telnet"),
        ("probe: {serial: A}, ports: {gdb: 1, telnet: 2, tcl: 9}", "probe: {serial: B}, ports: {gdb: 3, telnet: 4, tcl: 9}",
         "benches.b.ports.tcl", "port 9"),
        ("probe: {serial: A}, ports: {gdb: 1, telnet: 9, targets: 3}", "probe: {serial: B}, ports: {gdb: 3, telnet: 4}",
         "benches.b.ports.gdb", "port 3 is already used by benches.a.ports.gdb"),
        ("probe: {serial: A}, ports: {gdb: 1, telnet: 2, targets: 2}", f"probe: {{serial: B}}, {FREE}",
         "benches.a.ports.gdb", "port 2 is already used by benches.a.ports.telnet"),
        ("probe: {serial: A}, ports: {gdb: 65535, telnet: 2, targets: 2}", f"probe: {{serial: B}}, {FREE}",
         "benches.a.ports.gdb", "no port 65536"),
        (FREE, f"probe: {{serial: A}}, {FREE}", "benches.a.probe", "no probe is chosen, but bench 'b'"),
        (f"probe: {{serial: A}}, {FREE}", f"probe: {{serial: A}}, {FREE}", "benches.b.probe", "also the probe of"),
        (f"probe: {{serial: A}}, {FREE}", f"probe: {{serial: A, location: 1-2}}, {FREE}", "benches.a.probe", "also fits"),
        (f"probe: {{vid_pid: 0483:374B}}, {FREE}", f"probe: {{vid_pid: 0483:374b, serial: X}}, {FREE}",
         "benches.a.probe", "also fits"),
        (f"probe: {{server: 127.0.0.1:7184}}, {FREE}", f"probe: {{server: 127.0.0.1:7184}}, {FREE}",
         "benches.b.probe", "also the probe"),
        (f"probe: {{serial: A}}, {FREE}, bind: [0.0.0.0]", f"probe: {{serial: B}}, {FREE}", "benches.a.bind.0", "a shell here"),
        (f"probe: {{serial: A}}, {FREE}, allow: [10.0.0.0/8]", f"probe: {{serial: B}}, {FREE}", "benches.a.allow", "no effect"),
        (f"probe: {{serial: A}}, {FREE}, bind: ['::'], allow: [0.0.0.0/0]", f"probe: {{serial: B}}, {FREE}",
         "benches.a.allow.0", "whole Internet"),
        (f"probe: {{serial: A}}, {FREE}, bind: ['::1', '0::1']", f"probe: {{serial: B}}, {FREE}",
         "benches.a.bind.1", "already in"),
        (f"probe: {{serial: A}}, {FREE}, recovery: {{backoff: {{first: 1m}}}}", f"probe: {{serial: B}}, {FREE}",
         "benches.a.recovery.backoff", "limit 30s is less than first 1m"),
    ],
)  # fmt: skip
def test_a_conflict_is_found_and_named(faults: Faults, first: str, second: str, path: str, sentence: str) -> None:
    (problem,) = faults(two(first, second))
    assert problem.path == path
    assert sentence in problem.text
    assert problem.hint
    assert problem.line


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (f"probe: {{serial: A}}, {FREE}", f"probe: {{serial: B}}, {FREE}"),
        (f"probe: {{serial: A}}, {FREE}", f"probe: {{location: 1-2}}, {FREE}"),
        (f"probe: {{server: 127.0.0.1:7184}}, {FREE}", FREE),
        (f"probe: {{server: 127.0.0.1:7184, serial: A}}, {FREE}", f"probe: {{server: 127.0.0.1:7184, serial: B}}, {FREE}"),
        (f"probe: {{serial: A}}, {FREE}, bind: [0.0.0.0], allow: [10.0.0.0/8]", f"probe: {{serial: B}}, {FREE}"),
    ],
)
def test_what_can_be_told_apart_is_accepted(first: str, second: str) -> None:
    assert len(load(two(first, second), "f").benches) == 2


def test_the_status_page_shares_no_port_with_a_bench(faults: Faults) -> None:
    (problem,) = faults("version: 1\nhttp: 127.0.0.1:3333\nbenches: {a: {openocd: {config: [x]}}}")
    assert "port 3333 is already used by http" in problem.text
