"""What counts, and what is remembered."""

from __future__ import annotations

import pytest

from ocdsup.openocd.findings import Finding, Traces
from ocdsup.openocd.rule import Role


@pytest.mark.parametrize(
    ("role", "counts"),
    [(Role.CAUSE, True), (Role.SYMPTOM, True), (Role.RECOVERY, True), (Role.PROGRESS, False), (Role.NOISE, False)],
)
def test_only_what_departs_from_the_normal_course_counts(role: Role, counts: bool) -> None:
    assert Finding("a", None, role, None, "x").counts is counts


def test_the_first_of_a_kind_and_the_last_blamed_are_kept() -> None:
    traces = Traces()
    first, second = Finding("a", "probe-held", Role.CAUSE, None, "1"), Finding("a", "probe-held", Role.CAUSE, None, "2")
    for finding in (first, second, Finding("b", None, Role.NOISE, None, "3")):
        traces.remember(finding)
    assert traces.firsts["a"] is first
    assert traces.last_blamed is second
