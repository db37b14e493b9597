"""A wrong part does not hide the conflicts of the right parts, and never causes one."""

from collections.abc import Callable

from ocdsup.errors import Problem

Faults = Callable[[str], tuple[Problem, ...]]

TWO = """\
version: 1
benches:
  a: {openocd: {config: [x]}, %s}
  b: {openocd: {config: [x]}, %s}
"""


def test_a_conflict_is_reported_beside_an_unknown_key(faults: Faults) -> None:
    found = faults(TWO % ("prob: 1, probe: {serial: A}", "probe: {serial: B}"))
    assert {problem.path for problem in found} == {"benches.a.prob", "benches.b.ports.gdb", "benches.b.ports.telnet"}


def test_a_wrong_port_does_not_count_as_the_default(faults: Faults) -> None:
    found = faults(TWO % ("probe: {serial: A}", "probe: {serial: B}, ports: {gdb: x, telnet: 1}"))
    assert [problem.path for problem in found] == ["benches.b.ports.gdb"]


def test_a_wrong_selector_is_not_an_empty_one(faults: Faults) -> None:
    free = "ports: {gdb: 0, telnet: 0}"
    found = faults(TWO % (f"probe: {{serial: 3}}, {free}", f"probe: {{serial: B}}, {free}"))
    assert [problem.path for problem in found] == ["benches.a.probe.serial"]
