"""FPB and DWT as OpenOCD programs them."""

from __future__ import annotations

import pytest

from ocdsup.sim.comparators import Dwt, Fpb
from ocdsup.sim.cpu import Watch


@pytest.mark.parametrize(
    ("comp", "addresses"),
    [
        (0x48000101, {0x08000100}),
        (0x88000101, {0x08000102}),
        (0xC8000101, {0x08000100, 0x08000102}),
        (0x48000100, set()),
        (0x08000101, set()),
    ],
)
def test_a_code_comparator_breaks_at_the_halfwords_it_names(comp: int, addresses: set[int]) -> None:
    """REPLACE 01 is the lower, 10 the upper halfword, 11 both; bit 0 enables."""
    fpb = Fpb()
    fpb.write(0, 3)
    fpb.write(8, comp)
    assert fpb.addresses() == addresses


@pytest.mark.parametrize(("control", "enabled"), [(3, True), (2, False), (1, False)])
def test_fp_ctrl_needs_its_key(control: int, enabled: bool) -> None:
    fpb = Fpb()
    fpb.write(0, control)
    assert fpb.read(0) == 0x260 | enabled


def test_literal_comparators_never_break() -> None:
    fpb = Fpb()
    fpb.write(0, 3)
    fpb.write(8 + 4 * 6, 0x48000101)
    assert fpb.addresses() == set()
    assert fpb.read(8 + 4 * 6) == 0x48000101


def test_registers_behind_the_last_comparator_read_zero() -> None:
    fpb = Fpb()
    fpb.write(8 + 4 * 8, 1)
    assert fpb.read(8 + 4 * 8) == 0


@pytest.mark.parametrize(
    ("function", "mask", "watch"),
    [
        (5, 2, Watch(0x20000010, 0x20000013, True, False)),
        (6, 0, Watch(0x20000012, 0x20000012, False, True)),
        (7, 4, Watch(0x20000010, 0x2000001F, True, True)),
    ],
)
def test_a_data_comparator_covers_its_masked_range(function: int, mask: int, watch: Watch) -> None:
    dwt = Dwt()
    for part, value in ((0, 0x20000012), (4, mask), (8, function)):
        dwt.write(0x20 + part, value)
    assert dwt.watches() == {watch}


def test_a_hit_sets_matched_until_it_is_read() -> None:
    dwt = Dwt()
    for part, value in ((0, 0x20000010), (4, 2), (8, 6)):
        dwt.write(0x30 + part, value)
    dwt.hit(0x20000014)
    assert dwt.read(0x38) == 6
    dwt.hit(0x20000012)
    assert dwt.read(0x38) == 6 | 1 << 24
    assert dwt.read(0x38) == 6


def test_function_4_breaks_at_an_instruction() -> None:
    dwt = Dwt()
    dwt.write(0x20, 0x08000101)
    dwt.write(0x28, 4)
    assert (dwt.addresses(), dwt.watches()) == ({0x08000100}, set())


def test_there_are_four_comparators() -> None:
    dwt = Dwt()
    dwt.write(0x60, 1)
    assert (dwt.read(0) >> 28, dwt.read(0x60)) == (4, 0)


def test_the_cycle_counter_runs_when_enabled() -> None:
    dwt = Dwt()
    dwt.count(5)
    dwt.write(0, 1)
    dwt.count(7)
    assert dwt.read(4) == 7
    dwt.write(4, 0xFFFFFFFF)
    dwt.count(2)
    assert dwt.read(4) == 1
