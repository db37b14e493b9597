"""The address map: who answers, how parts of words are read and written, what flash cells can take."""

from __future__ import annotations

import pytest

from ocdsup.sim.bus import Bus, BusError, Mapped, Memory, Registers, narrow, nor, widen


class Refusing:
    def program(self, address: int, size: int, value: int) -> bool:
        return False


def make() -> Bus:
    flash = Memory("flash", 0x1000, bytearray(b"\xff" * 16), Refusing())
    bus = Bus([Memory("ram", 0, bytearray(range(16))), flash])
    bus.devices = [Mapped("device", 0x4000, 0x1000, Registers({4: 0x11223344}))]
    return bus


@pytest.mark.parametrize(("address", "size", "value"), [(0, 4, 0x03020100), (5, 1, 5), (6, 2, 0x0706), (0x4006, 2, 0x1122)])
def test_reads_are_little_endian_wherever_they_go(address: int, size: int, value: int) -> None:
    assert make().read(address, size) == value


@pytest.mark.parametrize("address", [0x10, 0x2000, 0x5000, 0xFFFFFFFC])
def test_an_address_nobody_answers_is_a_bus_error(address: int) -> None:
    bus = make()
    with pytest.raises(BusError) as caught:
        bus.write(address, 4, 0)
    assert (caught.value.address, caught.value.write) == (address, True)
    with pytest.raises(BusError):
        bus.read(address, 4)


def test_a_block_has_to_lie_in_one_memory() -> None:
    assert make().read_block(4, 12) == bytes(range(4, 16))
    with pytest.raises(BusError):
        make().read_block(8, 9)


def test_flash_takes_a_store_only_when_its_controller_agrees() -> None:
    bus = make()
    bus.write(0x1000, 4, 0)
    assert bus.read(0x1000, 4) == 0xFFFFFFFF


@pytest.mark.parametrize(
    ("old", "new", "cells"), [(b"\xff", b"\x0f", b"\x0f"), (b"\xf0", b"\x0f", b"\x00"), (b"\x00", b"\xff", b"\x00")]
)
def test_programming_only_clears_bits(old: bytes, new: bytes, cells: bytes) -> None:
    assert nor(old, new) == cells


@pytest.mark.parametrize(
    ("offset", "size", "part", "word"), [(0, 4, 0xAABBCCDD, 0), (1, 1, 0xCC, 0xAABB00DD), (2, 2, 0xAABB, 0x0000CCDD)]
)
def test_parts_of_a_word_are_cut_out_and_put_back(offset: int, size: int, part: int, word: int) -> None:
    assert narrow(0xAABBCCDD, offset, size) == part
    assert widen(0xAABBCCDD, offset, size, 0) == word


def test_plain_registers_forget_at_reset() -> None:
    registers = Registers({0: 7})
    registers.write(0, 4, 9)
    registers.reset()
    assert registers.read(0, 4) == 7
