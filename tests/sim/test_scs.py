"""The private peripheral bus as a debugger reads it."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from ocdsup.sim.board import Board
from tests.sim.machine import Debugger, half

Make = Callable[..., Board]
IDLE = half(0xE7FE)


@pytest.mark.parametrize(
    ("address", "value"),
    [
        (0xE000ED00, 0x410FC241),  # CPUID: Cortex-M4 r0p1
        (0xE0002000, 0x260),  # FP_CTRL: 6 code, 2 literal comparators
        (0xE0001000, 0x40000000),  # DWT_CTRL: 4 comparators
        (0xE000EF40, 0x10110021),  # MVFR0: single precision FPU
        (0xE0042000, 0x10076413),  # DBGMCU_IDCODE of the F405/F407
        (0xE00FF000, 0xFFF0F003),  # ROM table: SCS
        (0xE00FFFF4, 0x10),  # CIDR1: a ROM table
        (0xE000ED0C, 0xFA050000),  # AIRCR read key
        (0xE0001FBC, 0),  # DEVARCH: not an ARMv8-M
    ],
)
def test_constants_identify_the_part(board: Make, address: int, value: int) -> None:
    assert Debugger(board(IDLE)).peek(address) == value


@pytest.mark.parametrize("address", [0xE000ED08, 0xE000ED10, 0xE000ED18, 0xE000E400, 0xE000EDFC, 0xE0042004, 0xE0042008])
def test_plain_registers_keep_what_is_written(board: Make, address: int) -> None:
    debug = Debugger(board(IDLE))
    debug.poke(address, 0x1000)
    assert debug.peek(address) == 0x1000


def test_narrow_writes_change_their_bytes_only(board: Make) -> None:
    debug = Debugger(board(IDLE))
    debug.board.write(0xE000ED23, 1, 0x80, debug.now)
    debug.board.write(0xE000ED22, 1, 0x40, debug.now)
    assert debug.peek(0xE000ED20) == 0x80400000
    assert debug.board.read(0xE000ED23, 1, debug.now) == 0x80


def test_sticky_fault_registers_are_cleared_by_ones(board: Make) -> None:
    debug = Debugger(board(IDLE))
    debug.board.core.system.cfsr = 0x8200
    debug.poke(0xE000ED28, 0x200)
    assert debug.peek(0xE000ED28) == 0x8000


def test_interrupts_are_enabled_pended_and_cleared(board: Make) -> None:
    debug = Debugger(board(IDLE))
    debug.start()
    debug.poke(0xE000E100, 0b110)
    debug.poke(0xE000E180, 0b010)
    debug.poke(0xE000E204, 0b1)
    debug.poke(0xE000EF00, 5)
    assert [debug.peek(at) for at in (0xE000E100, 0xE000E180, 0xE000E204, 0xE000E200)] == [0b100, 0b100, 1, 32]
    debug.poke(0xE000E280, 32)
    assert debug.peek(0xE000E200) == 0
    assert debug.peek(0xE000E300) == 0


def test_systick_is_reached_through_the_bus(board: Make) -> None:
    debug = Debugger(board(IDLE))
    debug.start()
    debug.poke(0xE000E014, 1234)
    assert debug.peek(0xE000E014) == 1234


def test_dcrsr_reads_and_writes_core_registers(board: Make) -> None:
    debug = Debugger(board(IDLE))
    debug.start()
    debug.set_register(5, 0x12345678)
    assert debug.register(5) == 0x12345678
    debug.set_register(20, 1)
    assert debug.register(20) == 1


def test_unknown_addresses_read_zero_and_ignore_writes(board: Make) -> None:
    debug = Debugger(board(IDLE))
    debug.poke(0xE0080000, 7)
    assert debug.peek(0xE0080000) == 0
