"""A whole board: its memories, NRST, power."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from ocdsup.sim.board import Board, demo_image, target_file
from ocdsup.sim.boards import BOARDS, BoardSpec
from ocdsup.sim.bus import BusError
from tests.sim.machine import FLASH, RAM, Debugger, half

Make = Callable[..., Board]
IDLE = half(0xE7FE)


@pytest.mark.parametrize("name", sorted(BOARDS))
def test_the_signature_names_flash_size_and_unique_id(board: Make, name: str) -> None:
    made, spec = board(IDLE, name), BOARDS[name]
    assert made.read(spec.flash_size_at, 2, 1.0) == spec.flash_size // 1024
    assert made.read_block(spec.unique_id_at, 10, 1.0) == b"ocdsup-sim"


@pytest.mark.parametrize("name", sorted(BOARDS))
def test_the_demo_firmware_runs_on_every_board(name: str) -> None:
    """It counts and blinks ten times a second."""
    debug = Debugger(Board(BOARDS[name]))
    debug.pass_(1.05)
    blinks, counter = debug.peek(RAM + 0x30), debug.peek(RAM + 0x34)
    assert 9 <= blinks <= 12
    assert counter >= blinks


@pytest.mark.parametrize("name", sorted(BOARDS))
def test_flash_appears_at_address_0_too(board: Make, name: str) -> None:
    made = board(IDLE, name)
    assert made.read(0, 4, 1.0) == made.read(FLASH, 4, 1.0) == RAM + 0x4000


def test_ccm_is_memory_and_system_rom_is_not_writable(board: Make) -> None:
    made = board(IDLE)
    made.write(0x10000000, 4, 7, 1.0)
    assert made.read(0x10000000, 4, 1.0) == 7
    with pytest.raises(BusError):
        made.write(0x1FFF0000, 4, 7, 1.0)


def test_under_reset_only_the_debug_units_answer(board: Make) -> None:
    """The bus matrix is in reset as well."""
    made = board(IDLE)
    made.drive_nrst(True)
    assert made.read(0xE000ED00, 4, 1.0) == 0x410FC241
    for address in (RAM, FLASH, 0x40023C00):
        with pytest.raises(BusError):
            made.read(address, 4, 1.0)
        with pytest.raises(BusError):
            made.read_block(address, 4, 1.0)


def test_a_reset_request_while_nrst_is_low_boots_nothing(board: Make) -> None:
    made = board(IDLE)
    boots = made.boots
    made.drive_nrst(True)
    made.reset()
    assert made.boots == boots
    made.drive_nrst(False)
    made.drive_nrst(False)
    assert made.boots == boots + 1


def test_power_clears_ram_and_debug_settings_reset_does_not(board: Make) -> None:
    made = board(IDLE)
    for address in (RAM, 0xE0042004):
        made.write(address, 4, 7, 1.0)
    made.reset()
    assert [made.read(address, 4, 1.0) for address in (RAM, 0xE0042004)] == [7, 7]
    made.power_cycle()
    assert [made.read(address, 4, 1.0) for address in (RAM, 0xE0042004)] == [0, 0]


def test_a_reset_puts_peripherals_back(board: Make) -> None:
    made = board(IDLE)
    made.write(0x40020000, 4, 7, 1.0)
    made.reset()
    assert made.read(0x40020000, 4, 1.0) == 0


def test_the_image_begins_with_a_vector_table() -> None:
    for spec in BOARDS.values():
        image = demo_image(spec)
        assert int.from_bytes(image[:4], "little") == RAM + 0x4000
        assert int.from_bytes(image[4:8], "little") & 1


@pytest.mark.parametrize("spec", BOARDS.values(), ids=lambda spec: spec.name)
def test_openocd_finds_the_target_file_of_every_board(spec: BoardSpec) -> None:
    """Those of real chips are OpenOCD's own; the one for two cores comes along."""
    assert Path(target_file(spec)).is_file() is (spec.cores > 1)
