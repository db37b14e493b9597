"""Clock control, bit-banding and plain register blocks."""

from __future__ import annotations

import pytest

from ocdsup.sim.bus import Bus, BusError, Memory
from ocdsup.sim.peripherals import BitBand, Blocks, Nothing, Rcc


@pytest.mark.parametrize(("written", "read"), [(1, 3), (1 << 16, 3 << 16), (1 << 24, 3 << 24), (0, 0)])
def test_oscillators_are_ready_as_soon_as_they_are_on(written: int, read: int) -> None:
    rcc = Rcc(8, {})
    rcc.write(0, 4, written)
    assert rcc.read(0, 4) == read


def test_the_clock_switch_follows_at_once() -> None:
    rcc = Rcc(8, {})
    rcc.write(8, 4, 2)
    assert rcc.read(8, 4) == 0b1010


def test_blocks_without_a_device_hold_plain_registers() -> None:
    blocks = Blocks({1: Rcc(8, {0: 1})})
    blocks.write(0x10, 4, 5)
    blocks.write(0x400, 4, 0)
    assert (blocks.read(0x10, 4), blocks.read(0x400, 4)) == (5, 0)
    blocks.reset()
    assert (blocks.read(0x10, 4), blocks.read(0x400, 4)) == (0, 3)


def test_a_bit_band_word_is_one_bit() -> None:
    bus = Bus([Memory("ram", 0x20000000, bytearray(b"\x00\x10"))])
    band = BitBand(bus, 0x20000000)
    assert band.read(32 + 4 * 4, 4) == 1
    band.write(4 * 3, 4, 1)
    band.write(32 + 4 * 4, 4, 0)
    assert bus.read(0x20000000, 2) == 0x0008


def test_rom_refuses_writes() -> None:
    with pytest.raises(BusError):
        Nothing().program(0, 4, 0)
