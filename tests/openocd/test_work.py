"""Which commands may keep OpenOCD silent for long."""

from __future__ import annotations

import pytest

from ocdsup.openocd.work import takes_long, writes_flash
from ocdsup.rsp.work import LOAD

WRITES = (
    LOAD,
    "flash write_image erase /tmp/x.elf",
    "flash  write_bank 0 x.bin",
    "flash erase_sector 0 0 last",
    "flash erase_address pad 0x08000000 16",
    "flash fillw 0x08000000 0 16",
    "reset halt; flash write_image x.hex 0 ihex",
    "program {a b.elf} verify reset",
    "if {1} {program x.elf}",
    "program_esp x.bin 0x10000 verify",
    "stm32f4x mass_erase 0",
    "stm32f1x unlock 0",
    "set done [stm32f1x unlock 0]",
    "proc free {} {stm32f1x unlock 0}",
    "stm32f2x options_write 0 0x2c",
    "stm32l4x option_write 0 0x20 1 1",
    "at91samd chip-erase",
    "nand write 0 x.bin 0",
    "[flash write_image x.elf]",
    "echo [flash write_image x.elf]",
    "jtagspi_program x.bin 0",
    "nrf52_recover",
    "flash_part u-boot x.bin",
    "openrd_reflash_uboot",
    "sheevaplug_reflash_uboot_env",
)
LONG = (
    "dump_image x.bin 0 0x100000",
    "verify_image x.elf",
    "load_image x.bin",
    "svf -tap x x.svf",
    "sleep 20000",
    "wait_halt 60000",
    "xc7_program xc7.tap",
    "source burn.tcl",
    "script burn.tcl",
)
SHORT = (
    "",
    "flash banks",
    "flash info 0",
    "flash list",
    "targets",
    "mdw 0x08000000 16",
    "reset halt",
    "reg pc",
    "myprogram",
    "set file.program 1",
    "adapter speed 1000",
    "stm32f4x.cpu curstate",
    "stm32f2x options_read 0",
    "help program",
    "echo program",
    "help flash write_image",
    "set lock 1",
    "set mode lock",
    "unset unlock",
    "global lock",
    "info exists mass_erase",
    "proc unlock {} {reset halt}",
    "help lock",
    "echo lock",
)


@pytest.mark.parametrize("line", WRITES)
def test_what_writes_flash_takes_long(line: str) -> None:
    assert writes_flash(line)
    assert takes_long([line])


@pytest.mark.parametrize("line", LONG)
def test_what_moves_much_or_waits_takes_long_and_writes_no_flash(line: str) -> None:
    assert not writes_flash(line)
    assert takes_long(["targets", line])


@pytest.mark.parametrize("line", SHORT)
def test_everything_else_is_expected_to_be_answered_soon(line: str) -> None:
    assert not writes_flash(line)
    assert not takes_long([line])
    assert not takes_long([])
