"""Where a bench is to be found, and with which GDB: all that a snippet has to know."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

HOST = "localhost"
# What OpenOCD's file names say about the architecture; Debian's gdb-multiarch knows every other one.
_GDB = (
    ("esp32s3", "xtensa-esp32s3-elf-gdb"),
    ("esp32s2", "xtensa-esp32s2-elf-gdb"),
    ("esp32c", "riscv32-esp-elf-gdb"),
    ("esp32h", "riscv32-esp-elf-gdb"),
    ("esp32", "xtensa-esp32-elf-gdb"),
)
MULTIARCH = "gdb-multiarch"


@dataclass(frozen=True, slots=True)
class Place:
    """A bench as a debugger sees it; `elf` is the program's file as the tool writes paths, None for the tool's usual place."""

    bench: str
    gdb_port: int
    telnet_port: int
    gdb: str = MULTIARCH
    elf: str | None = None
    files: tuple[str, ...] = ()  # OpenOCD's configuration files of the bench
    serial: str | None = None  # of its probe

    @property
    def address(self) -> str:
        """What follows `target extended-remote`."""
        return f"{HOST}:{self.gdb_port}"


def gdb_for(files: Iterable[str]) -> str:
    """The GDB for the chip that OpenOCD's configuration files are about."""
    names = " ".join(files).lower()
    return next((gdb for part, gdb in _GDB if part in names), MULTIARCH)
