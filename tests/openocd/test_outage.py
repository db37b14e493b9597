"""The outage counter on its own."""

from __future__ import annotations

from ocdsup.openocd.outage import SETTLED_S, TARGETS, Outages, Verdict
from ocdsup.openocd.rule import Outage


def test_a_failure_is_settled_by_its_examination_only() -> None:
    outages = Outages()
    assert outages.take(Outage.BEGIN, "a", 0.0) is None
    assert outages.open
    assert outages.take(Outage.CONFIRM, None, 0.1) == Verdict("a", True, 1)
    assert not outages.open


def test_whole_lines_count_each() -> None:
    outages = Outages()
    verdicts = [outages.take(Outage.WHOLE, "a", now) for now in (0.0, 0.2)]
    assert verdicts == [Verdict("a", True, 1), Verdict("a", True, 2)]


def test_a_target_that_never_failed_cannot_come_back() -> None:
    assert Outages().take(Outage.BACK, "a", 0.0) is None


def test_a_target_comes_back_once() -> None:
    outages = Outages()
    outages.take(Outage.WHOLE, "a", 0.0)
    assert outages.take(Outage.BACK, "a", 1.0) == Verdict("a", False, 1)
    assert outages.take(Outage.BACK, "a", 1.0) is None


def test_a_slow_examination_that_fails_still_counts() -> None:
    outages = Outages()
    outages.take(Outage.BEGIN, "a", 0.0)
    assert outages.settle(SETTLED_S) == [Verdict("a", False, 0)]
    assert outages.take(Outage.CONFIRM, None, SETTLED_S + 1) == Verdict("a", True, 1)


def test_the_oldest_open_poll_sets_the_deadline() -> None:
    outages = Outages()
    assert outages.deadline is None
    outages.take(Outage.BEGIN, "a", 5.0)
    outages.take(Outage.BEGIN, "b", 3.0)
    assert outages.deadline == 3.0 + SETTLED_S


def test_foreign_names_cannot_fill_the_memory() -> None:
    outages = Outages()
    for number in range(10 * TARGETS):
        outages.take(Outage.WHOLE, f"t{number}", 0.0)
    assert len(outages._states) == TARGETS
