"""The boards as data."""

from __future__ import annotations

import pytest

from ocdsup.sim.boards import BOARDS, KIB


@pytest.mark.parametrize(("name", "flash", "ram"), [("stm32f407", 1024, 192), ("stm32f411", 512, 128), ("stm32f103", 64, 20)])
def test_memory_sizes_are_those_of_the_chips(name: str, flash: int, ram: int) -> None:
    spec = BOARDS[name]
    assert (spec.flash_size // KIB, sum(size for _, _, size in spec.ram) // KIB) == (flash, ram)


@pytest.mark.parametrize("spec", BOARDS.values(), ids=lambda spec: spec.name)
def test_every_region_begins_and_ends_on_a_page_of_the_emulator(spec: object) -> None:
    from ocdsup.sim.boards import BoardSpec

    assert isinstance(spec, BoardSpec)
    numbers = [spec.flash, spec.flash_size, *spec.system_rom, *(n for _, base, size in spec.ram for n in (base, size))]
    assert [n for n in numbers if n % 4096] == []


def test_the_f407_has_core_coupled_memory() -> None:
    assert ("ccm", 0x10000000, 64 * KIB) in BOARDS["stm32f407"].ram
