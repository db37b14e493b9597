"""Which GDB goes with a chip, and how a bench is addressed."""

import pytest

from ocdsup.ide.place import Place, gdb_for


@pytest.mark.parametrize(
    ("files", "gdb"),
    [
        (["interface/stlink.cfg", "target/stm32f4x.cfg"], "gdb-multiarch"),
        (["board/esp32s3-builtin.cfg"], "xtensa-esp32s3-elf-gdb"),
        (["target/esp32s2.cfg"], "xtensa-esp32s2-elf-gdb"),
        (["board/esp32-wrover-kit-3.3v.cfg"], "xtensa-esp32-elf-gdb"),
        (["board/esp32c3-builtin.cfg"], "riscv32-esp-elf-gdb"),
        ([], "gdb-multiarch"),
    ],
)
def test_the_chip_chooses_the_gdb(files: list[str], gdb: str) -> None:
    assert gdb_for(files) == gdb


def test_the_address_is_the_name_that_ides_resolve(place: Place) -> None:
    assert place.address == "localhost:3393"
