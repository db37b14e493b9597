"""Which exception runs."""

from __future__ import annotations

import pytest

from ocdsup.sim.nvic import BUSFAULT, HARDFAULT, IDLE, NMI, PENDSV, SYSTICK, USAGEFAULT, Nvic

PRIMASK, FAULTMASK = 1, 1 << 16


def basepri(value: int) -> int:
    return value << 8


@pytest.mark.parametrize(
    ("active", "masks", "level"),
    [
        ([], 0, IDLE),
        ([], PRIMASK, 0),
        ([], FAULTMASK, -1),
        ([], basepri(0x40), 0x40),
        ([SYSTICK], 0, 0x80),
        ([SYSTICK], basepri(0x40), 0x40),
        ([SYSTICK, HARDFAULT], PRIMASK, -1),
        ([NMI], FAULTMASK, -2),
    ],
)
def test_the_execution_priority_is_the_strongest_of_all(active: list[int], masks: int, level: int) -> None:
    nvic = Nvic()
    nvic.set_priorities(12, 0x80 << 24)  # SysTick
    for number in active:
        nvic.enter(number)
    assert nvic.execution_priority(masks) == level


@pytest.mark.parametrize(
    ("pending", "level", "chosen"),
    [
        ([], IDLE, None),
        ([SYSTICK], IDLE, SYSTICK),
        ([SYSTICK, PENDSV], IDLE, PENDSV),
        ([SYSTICK, NMI, HARDFAULT], IDLE, NMI),
        ([SYSTICK], 0, None),
        ([HARDFAULT], 0, HARDFAULT),
        ([HARDFAULT], -1, None),
        ([16], IDLE, None),
        ([17], IDLE, 17),
    ],
)
def test_the_most_urgent_enabled_exception_is_next(pending: list[int], level: int, chosen: int | None) -> None:
    """Interrupt 0 (number 16) is pending but not enabled, interrupt 1 is both."""
    nvic = Nvic()
    nvic.set_bits("enabled", 0, 2, True)
    nvic.pending |= set(pending)
    assert nvic.next(level) == chosen


def test_priority_grouping_makes_equals_of_subpriorities() -> None:
    """With PRIGROUP 5 only the upper two bits preempt."""
    nvic = Nvic()
    nvic.group = 5
    nvic.set_priorities(16, 0x40 | 0x70 << 8)
    assert [nvic.group_priority(16), nvic.group_priority(17)] == [0x40, 0x40]


def test_only_four_priority_bits_exist() -> None:
    nvic = Nvic()
    nvic.set_priorities(16, 0xFFFFFFFF)
    assert nvic.priorities(16) == 0xF0F0F0F0


def test_bits_are_switched_one_by_one() -> None:
    nvic = Nvic()
    nvic.set_bits("enabled", 1, 0b101, True)
    nvic.set_bits("enabled", 1, 0b001, False)
    assert (nvic.bits("enabled", 1), nvic.bits("enabled", 0)) == (0b100, 0)


def test_icsr_pends_shows_and_clears() -> None:
    nvic = Nvic()
    nvic.set_icsr(1 << 28 | 1 << 26)
    assert nvic.icsr(0) == 1 << 28 | 1 << 26 | PENDSV << 12 | 1 << 11
    nvic.set_icsr(1 << 27 | 1 << 25)
    assert not nvic.pending


def test_configurable_faults_are_off_until_enabled() -> None:
    nvic = Nvic()
    assert not nvic.enabled(BUSFAULT)
    nvic.set_shcsr(1 << 17 | 1 << 18)
    assert nvic.enabled(BUSFAULT)
    assert nvic.enabled(USAGEFAULT)
    nvic.enter(USAGEFAULT)
    assert nvic.shcsr() == 1 << 17 | 1 << 18 | 1 << 3
    nvic.set_shcsr(0)
    assert not nvic.enabled(BUSFAULT)


def test_leaving_an_exception_that_is_not_active_changes_nothing() -> None:
    nvic = Nvic()
    nvic.enter(SYSTICK)
    nvic.leave(PENDSV)
    assert nvic.active == [SYSTICK]
