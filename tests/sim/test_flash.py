"""The flash controllers, register by register."""

from __future__ import annotations

import pytest

from ocdsup.sim.bus import Bus, BusError, Memory
from ocdsup.sim.flash import FlashF1, FlashF4

BASE, SYSTEM = 0x08000000, 0x1FFFF000
KEY1, KEY2 = 0x45670123, 0xCDEF89AB
PG, SER, MER, STRT = 1, 2, 4, 1 << 16


def f4() -> tuple[FlashF4, Bus]:
    """Return a controller of four sectors of 256 bytes, all cells 0."""
    cells = Memory("flash", BASE, bytearray(1024))
    flash = FlashF4((256,) * 4, cells, lambda: None)
    cells.programmer = flash
    return flash, Bus([cells])


def unlock(flash: FlashF4 | FlashF1) -> None:
    flash.write(4, 4, KEY1)
    flash.write(4, 4, KEY2)


def test_f4_stays_locked_without_both_keys() -> None:
    flash, _ = f4()
    flash.write(4, 4, KEY1)
    flash.write(0x10, 4, MER | STRT)
    assert flash.read(0x10, 4) == 1 << 31


def test_f4_a_wrong_key_locks_until_reset() -> None:
    flash, _ = f4()
    flash.write(4, 4, 1)
    unlock(flash)
    assert flash.read(0x10, 4) >> 31 == 1
    flash.reset()
    unlock(flash)
    assert flash.read(0x10, 4) >> 31 == 0


def test_f4_erases_the_chosen_sector_only() -> None:
    flash, bus = f4()
    unlock(flash)
    flash.write(0x10, 4, SER | 2 << 3 | STRT)
    assert [bus.read(BASE + 256 * n, 1) for n in range(4)] == [0, 0, 0xFF, 0]


def test_f4_erases_everything() -> None:
    flash, bus = f4()
    unlock(flash)
    flash.write(0x10, 4, MER | STRT)
    assert bus.read_block(BASE, 1024) == b"\xff" * 1024


@pytest.mark.parametrize(
    ("control", "size", "error"), [(PG | 2 << 8, 4, 0), (PG | 1 << 8, 2, 0), (PG, 1, 0), (PG | 2 << 8, 2, 0x40), (0, 4, 0x80)]
)
def test_f4_programs_in_the_width_that_psize_says(control: int, size: int, error: int) -> None:
    """Another width is PGPERR, no PG is PGSERR; then the cells keep what they had."""
    flash, bus = f4()
    unlock(flash)
    flash.write(0x10, 4, SER | STRT)
    flash.write(0x10, 4, control)
    bus.write(BASE, size, 0x12)
    assert flash.read(0xC, 4) == error
    assert bus.read(BASE, 1) == (0xFF if error else 0x12)


def test_f4_a_protected_sector_takes_neither_erase_nor_data() -> None:
    flash, bus = f4()
    flash.options &= ~(1 << 17)
    unlock(flash)
    flash.write(0x10, 4, SER | 1 << 3 | STRT)
    assert flash.read(0xC, 4) == 0x10
    flash.write(0xC, 4, 0x10)
    flash.write(0x10, 4, PG)
    bus.write(BASE + 256, 1, 0)
    assert flash.read(0xC, 4) == 0x10


def test_f4_mass_erase_stops_at_a_protected_sector() -> None:
    flash, bus = f4()
    flash.options &= ~(1 << 16)
    unlock(flash)
    flash.write(0x10, 4, MER | STRT)
    assert (flash.read(0xC, 4), bus.read(BASE + 256, 1)) == (0x10, 0)


def test_f4_option_bytes_need_their_own_keys_and_start() -> None:
    flash, _ = f4()
    flash.write(0x14, 4, 0x0FF0AAEC)
    assert flash.read(0x14, 4) == FlashF4.OPTCR
    flash.write(8, 4, 0x08192A3B)
    flash.write(8, 4, 0x4C5D6E7F)
    flash.write(0x14, 4, 0x0FF0AAEC | 2)
    flash.write(0x14, 4, 0x0FF0AAEC | 1)
    flash.reset()
    assert flash.read(0x14, 4) == 0x0FF0AAED


def test_f4_lock_bit_shuts_again() -> None:
    flash, _ = f4()
    unlock(flash)
    flash.write(0x10, 4, 1 << 31)
    assert flash.read(0x10, 4) >> 31 == 1


@pytest.mark.parametrize(("erase", "program"), [(True, False), (False, True)])
def test_f4_the_fault_refuses_erase_and_program_apart(erase: bool, program: bool) -> None:
    flash, bus = f4()
    flash.fail_erase, flash.fail_program = erase, program
    unlock(flash)
    flash.write(0x10, 4, SER | STRT)
    assert (bus.read(BASE, 1) == 0) is erase
    flash.write(0x10, 4, PG)
    assert flash.program(BASE, 1, 0) is not program


# ---- F1 ----


def f1() -> tuple[FlashF1, Bus]:
    """Return a controller of 8 pages of 1 KiB, all cells 0."""
    cells, system = Memory("flash", BASE, bytearray(8192)), Memory("system", SYSTEM, bytearray(b"\xff" * 4096))
    system.data[0x800:0x810] = FlashF1.OPTIONS
    flash = FlashF1(1024, cells, system, lambda: None)
    cells.programmer = system.programmer = flash
    return flash, Bus([cells, system])


def test_f1_erases_the_page_of_the_address_register() -> None:
    flash, bus = f1()
    unlock(flash)
    flash.write(0x10, 4, 2)
    flash.write(0x14, 4, BASE + 1030)
    flash.write(0x10, 4, 0x42)
    assert [bus.read(BASE + 1024 * n, 1) for n in range(3)] == [0, 0xFF, 0]
    assert flash.read(0xC, 4) == 0x20


def test_f1_programs_halfwords_into_erased_cells_only() -> None:
    flash, bus = f1()
    unlock(flash)
    flash.write(0x10, 4, 0x44)
    flash.write(0x10, 4, 1)
    bus.write(BASE, 2, 0x1234)
    flash.write(0xC, 4, 0x34)
    bus.write(BASE, 2, 0x1200)
    assert (bus.read(BASE, 2), flash.read(0xC, 4)) == (0x1234, 4)
    bus.write(BASE, 2, 0)
    assert bus.read(BASE, 2) == 0


@pytest.mark.parametrize("size", [1, 4])
def test_f1_another_width_is_a_bus_error(size: int) -> None:
    flash, bus = f1()
    unlock(flash)
    flash.write(0x10, 4, 1)
    with pytest.raises(BusError):
        bus.write(BASE, size, 0)


def test_f1_write_protection_covers_four_pages_a_bit() -> None:
    flash, bus = f1()
    bus.memories[1].data[0x808] = 0xFD  # WRP0: pages 4 to 7
    flash.reset()
    unlock(flash)
    for page in (0, 4):
        flash.write(0x14, 4, BASE + 1024 * page)
        flash.write(0x10, 4, 0x42)
    assert [bus.read(BASE + 1024 * n, 1) for n in (0, 4)] == [0xFF, 0]
    assert flash.read(0xC, 4) & 0x10


def test_f1_option_bytes_are_erased_and_programmed_with_their_own_key() -> None:
    flash, bus = f1()
    unlock(flash)
    flash.write(0x10, 4, 0x60)
    assert bus.read(SYSTEM + 0x800, 1) == 0xA5
    flash.write(8, 4, KEY1)
    flash.write(8, 4, KEY2)
    flash.write(0x10, 4, 0x260)
    flash.write(0x10, 4, 0x210)
    bus.write(SYSTEM + 0x800, 2, 0x5AA5)
    assert bus.read(SYSTEM + 0x800, 4) == 0xFFFF5AA5
    with pytest.raises(BusError):
        bus.write(SYSTEM, 2, 0)


def test_f1_readout_protection_is_seen_after_a_reset() -> None:
    flash, bus = f1()
    assert flash.read(0x1C, 4) & 2 == 0
    bus.memories[1].data[0x800] = 0
    flash.reset()
    assert flash.read(0x1C, 4) & 2 == 2


def test_f1_the_fault_refuses_erase_and_program() -> None:
    flash, bus = f1()
    unlock(flash)
    flash.fail_erase = flash.fail_program = True
    flash.write(0x10, 4, 0x44)
    assert (bus.read(BASE, 1), flash.read(0xC, 4)) == (0, 0x10)
    flash.write(0x10, 4, 1)
    assert not flash.program(BASE, 2, 0)
