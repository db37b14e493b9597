"""What lies behind one access port: a core that shares nothing with the other ones but the reset."""

from __future__ import annotations

import pytest

from ocdsup.sim.board import Board, demo_image
from ocdsup.sim.boards import BOARDS
from ocdsup.sim.domain import Domain
from ocdsup.sim.scs import DHCSR
from tests.sim.machine import DEBUGEN, FLASH, HALT, KEY, NOW, RAM, S_HALT

DUAL = BOARDS["dual-m4"]


@pytest.fixture
def dual() -> Board:
    """A board with two cores, both running the firmware it is delivered with."""
    return Board(DUAL)


def test_a_domain_asks_the_board_for_a_reset() -> None:
    asked: list[str] = []
    domain = Domain(DUAL, b"", lambda: asked.append("reset"))
    domain.core.request_reset()
    assert asked == ["reset"]


def test_every_core_has_memory_and_flash_of_its_own(dual: Board) -> None:
    dual.write(RAM + 0x1000, 4, 7, NOW, port=1)
    assert [dual.read(RAM + 0x1000, 4, NOW, port) for port in (0, 1)] == [0, 7]
    dual.domains[1].flash_memory.data[0x100:0x104] = b"\0\0\0\0"
    assert dual.read_block(FLASH, 16, NOW, 1) == demo_image(DUAL)[:16]
    assert dual.read_block(FLASH + 0x100, 4, NOW) == demo_image(DUAL)[0x100:0x104]


def test_halting_one_core_lets_the_other_run(dual: Board) -> None:
    dual.write(DHCSR, 4, KEY | DEBUGEN | HALT, NOW, port=1)
    assert [bool(dual.read(DHCSR, 4, NOW, port) & S_HALT) for port in (0, 1)] == [False, True]
    assert [core.running for core in dual.cores] == [True, False]


def test_both_cores_count_for_themselves(dual: Board) -> None:
    for core in dual.cores:
        core.advance(NOW)
    dual.write(DHCSR, 4, KEY | DEBUGEN | HALT, NOW, port=1)
    for slice_ in range(1, 51):
        for core in dual.cores:
            core.advance(NOW + slice_ / 100)
    blinks = [dual.read(RAM + 0x30, 4, NOW, port) for port in (0, 1)]
    assert blinks[0] >= 4
    assert blinks[1] == 0


@pytest.mark.parametrize("by", ["nrst", "core 0", "core 1"])
def test_a_reset_is_one_of_the_whole_chip(dual: Board, by: str) -> None:
    """Wherever it comes from, both cores boot; memory keeps its content, peripherals do not."""
    for port in (0, 1):
        dual.write(DHCSR, 4, KEY | DEBUGEN | HALT, NOW, port)
        dual.write(RAM + 0x1000, 4, 7, NOW, port)
        dual.write(0x40020000, 4, 7, NOW, port)
    boots = dual.boots
    if by == "nrst":
        dual.drive_nrst(True)
        assert [core.held for core in dual.cores] == [True, True]
        dual.drive_nrst(False)
    else:
        dual.write(0xE000ED0C, 4, 0x05FA0004, NOW, port=int(by[-1]))
    assert dual.boots == boots + 1
    assert [core.running for core in dual.cores] == [True, True]
    assert [dual.read(RAM + 0x1000, 4, NOW, port) for port in (0, 1)] == [7, 7]
    assert [dual.read(0x40020000, 4, NOW, port) for port in (0, 1)] == [0, 0]


def test_a_power_cycle_empties_every_memory(dual: Board) -> None:
    for port in (0, 1):
        dual.write(RAM + 0x1000, 4, 7, NOW, port)
    dual.power_cycle()
    assert [dual.read(RAM + 0x1000, 4, NOW, port) for port in (0, 1)] == [0, 0]
