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
    serial: str | None = None  # of its probe, as a word of Tcl
    location: str | None = None  # where it is plugged in, if that is to tell it
    search: tuple[str, ...] = ()  # folders of those files
    speed_khz: int | None = None
    commands: tuple[str, ...] = ()  # Tcl of the bench's configuration, for behind the files

    @property
    def address(self) -> str:
        """What follows `target extended-remote`."""
        return f"{HOST}:{self.gdb_port}"

    @property
    def probe(self) -> tuple[str, ...]:
        """Tcl that names the probe, so that the drop-in need not guess between two boards."""
        named = [f"adapter serial {self.serial}"] if self.serial else []
        return (*named, *([f"adapter usb location {self.location}"] if self.location else []))

    @property
    def openocd(self) -> tuple[str, ...]:
        """The arguments of an OpenOCD for this bench, as the bench itself gives them to its own."""
        search = [word for folder in self.search for word in ("-s", folder)]
        files = [word for file in self.files for word in ("-f", file)]
        speed = [f"adapter speed {self.speed_khz}"] if self.speed_khz else []
        return (*search, *files, *(word for tcl in (*self.probe, *self.commands, *speed) for word in ("-c", tcl)))


def gdb_for(files: Iterable[str]) -> str:
    """The GDB for the chip that OpenOCD's configuration files are about."""
    names = " ".join(files).lower()
    return next((gdb for part, gdb in _GDB if part in names), MULTIARCH)
