"""SysTick in simulated seconds."""

from __future__ import annotations

import pytest

from ocdsup.sim.systick import SysTick


def running(control: int = 7, load: int = 999) -> SysTick:
    tick = SysTick(1_000_000)
    tick.write(4, load)
    tick.write(0, control)
    return tick


@pytest.mark.parametrize(("control", "period"), [(7, 0.001), (3, 0.008), (6, 0.0), (0, 0.0)])
def test_the_period_follows_reload_and_clock_source(control: int, period: float) -> None:
    """CLKSOURCE 0 is an eighth of the core clock; without ENABLE nothing runs."""
    assert running(control).period == pytest.approx(period)


def test_it_reports_each_zero_once() -> None:
    tick = running()
    assert [tick.elapse(0.0006) for _ in range(5)] == [False, True, False, True, True]


def test_without_tickint_it_counts_but_stays_silent() -> None:
    tick = running(5)
    assert tick.elapse(0.002) is False
    assert tick.read(0) >> 16 & 1 == 1


def test_countflag_is_cleared_by_reading() -> None:
    tick = running()
    tick.elapse(0.001)
    assert tick.read(0) == 7 | 1 << 16
    assert tick.read(0) == 7


def test_the_counter_counts_down_and_restarts_when_written() -> None:
    tick = running()
    tick.elapse(0.0004)
    assert tick.read(8) == pytest.approx(600, abs=2)
    tick.write(8, 123)
    assert tick.read(8) == pytest.approx(1000, abs=2)
    assert tick.until_zero() == pytest.approx(0.001)


def test_a_reset_stops_it() -> None:
    tick = running()
    tick.reset()
    assert tick.until_zero() is None
    assert tick.elapse(9.0) is False
    assert tick.read(4) == 0
