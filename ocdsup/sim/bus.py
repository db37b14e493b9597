"""The address map of a board: memories, devices, and who answers at which address."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol


class BusError(Exception):
    """Nothing answers at this address, or what answers refuses the access."""

    def __init__(self, address: int, write: bool = False) -> None:
        super().__init__(f"no answer at 0x{address:08x} ({'write' if write else 'read'})")
        self.address = address
        self.write = write


class Device(Protocol):
    """Registers that answer reads and writes of 1, 2 or 4 bytes at an offset."""

    def read(self, offset: int, size: int) -> int: ...

    def write(self, offset: int, size: int, value: int) -> None: ...


class Programmer(Protocol):
    """What turns a plain store into flash into a programming operation."""

    def program(self, address: int, size: int, value: int) -> bool:
        """Return whether the cells may take `value`; a refusal sets the error flags."""


@dataclass(slots=True)
class Memory:
    """Plain bytes at an address; with a `programmer` it is flash, which only programming changes."""

    name: str
    base: int
    data: bytearray
    programmer: Programmer | None = None

    @property
    def end(self) -> int:
        """First address behind the memory."""
        return self.base + len(self.data)


@dataclass(slots=True)
class Mapped:
    """A device at an address; `base` and `size` are multiples of the emulator's 4 KiB page."""

    name: str
    base: int
    size: int
    device: Device

    @property
    def end(self) -> int:
        """First address behind the device."""
        return self.base + self.size


@dataclass(slots=True)
class Bus:
    """Finds the memory or device of an address for the debug port (the core has its own view, `cpu`)."""

    memories: list[Memory] = field(default_factory=list)
    devices: list[Mapped] = field(default_factory=list)

    def memory_at(self, address: int) -> Memory | None:
        """Return the memory that holds `address`, if any."""
        return next((m for m in self.memories if m.base <= address < m.end), None)

    def read(self, address: int, size: int) -> int:
        """Read 1, 2 or 4 bytes, little endian; raises BusError where nothing answers."""
        memory = self.memory_at(address)
        if memory is not None:
            at = address - memory.base
            return int.from_bytes(memory.data[at : at + size], "little")
        return self._device(address, False).read(address - self._base(address), size)

    def write(self, address: int, size: int, value: int) -> None:
        """Write 1, 2 or 4 bytes; into flash this programs. Raises BusError where nothing answers."""
        memory = self.memory_at(address)
        if memory is None:
            self._device(address, True).write(address - self._base(address), size, value)
            return
        if memory.programmer is None or memory.programmer.program(address, size, value):
            at = address - memory.base
            old = memory.data[at : at + size]
            new = value.to_bytes(size, "little")
            memory.data[at : at + size] = new if memory.programmer is None else nor(old, new)

    def read_block(self, address: int, length: int) -> bytes:
        """Read bytes that lie in one memory at once; raises BusError when they do not."""
        memory = self.memory_at(address)
        if memory is None or address + length > memory.end:
            raise BusError(address)
        at = address - memory.base
        return bytes(memory.data[at : at + length])

    def _mapped(self, address: int) -> Mapped | None:
        return next((d for d in self.devices if d.base <= address < d.end), None)

    def _device(self, address: int, write: bool) -> Device:
        mapped = self._mapped(address)
        if mapped is None:
            raise BusError(address, write)
        return mapped.device

    def _base(self, address: int) -> int:
        mapped = self._mapped(address)
        return mapped.base if mapped is not None else 0


def nor(old: bytes | bytearray, new: bytes) -> bytes:
    """Return what flash cells hold after programming: bits go from 1 to 0, never back."""
    return bytes(a & b for a, b in zip(old, new, strict=True))


class Registers:
    """A device that remembers what was written: for peripherals whose behaviour nobody watches."""

    def __init__(self, reset: dict[int, int] | None = None) -> None:
        self._reset = dict(reset or {})
        self.words = dict(self._reset)

    def reset(self) -> None:
        """Put every register back to its reset value."""
        self.words = dict(self._reset)

    def read(self, offset: int, size: int) -> int:
        """Read part of a word; a register never written holds 0."""
        return narrow(self.words.get(offset & ~3, 0), offset, size)

    def write(self, offset: int, size: int, value: int) -> None:
        """Write part of a word."""
        self.words[offset & ~3] = widen(self.words.get(offset & ~3, 0), offset, size, value)


def narrow(word: int, offset: int, size: int) -> int:
    """Return the `size` bytes at `offset` of a 32-bit register."""
    return word >> 8 * (offset & 3) & (1 << 8 * size) - 1


def widen(word: int, offset: int, size: int, value: int) -> int:
    """Return the register `word` with the `size` bytes at `offset` replaced by `value`."""
    shift = 8 * (offset & 3)
    mask = ((1 << 8 * size) - 1) << shift
    return (word & ~mask | value << shift & mask) & 0xFFFFFFFF
