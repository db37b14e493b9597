"""The debug port and the AHB access port of the target, as an ST-LINK sees them (ARM IHI 0031)."""

from __future__ import annotations

from collections.abc import Callable

from ocdsup.sim.board import Board
from ocdsup.sim.bus import BusError
from ocdsup.sim.faults import Link

# Status codes of the ST-LINK firmware as OpenOCD names them (v0.12.0, src/jtag/drivers/stlink_usb.c:259)
OK, AP_FAULT, DP_WAIT, DP_ERROR, BAD_AP = 0x80, 0x11, 0x14, 0x16, 0x1D
DEBUG_PORT = 0xFFFF
_WRAP = 0x1000  # TAR increments inside 4 KiB on these cores
_STICKYERR, _POWER_REQUEST = 1 << 5, 0x50000000


class RefusedError(Exception):
    """An access that failed; `status` is what the ST-LINK reports."""

    def __init__(self, status: int) -> None:
        super().__init__(f"status 0x{status:02x}")
        self.status = status


class Dap:
    """Debug port registers and memory access through AP 0."""

    def __init__(self, board: Board, link: Callable[[float], Link]) -> None:
        self._board = board
        self._link = link
        self.reset()

    def reset(self) -> None:
        """The state after power on or a line reset."""
        self._select = self._control = self._csw = self._tar = 0
        self._sticky = False

    def check(self, now: float) -> None:
        """Raise RefusedError unless the target answers at all."""
        match self._link(now):
            case Link.DEAD:
                raise RefusedError(DP_ERROR)
            case Link.WAIT:
                raise RefusedError(DP_WAIT)

    # ---- memory ----

    def read_memory(self, address: int, length: int, size: int, now: float, increment: bool = True) -> bytes:
        """Read memory in units of `size` bytes; raises RefusedError.

        In SWD mode the ST-LINK sets TAR for every unit, so nothing wraps here; OpenOCD's dap-direct
        queue relies on it and merges up to 6144 bytes across 4 KiB borders (stlink_usb.c:4417).
        """
        self.check(now)
        self._sticky = False
        try:
            if increment:
                return self._read_block(address, length, size, now)
            return b"".join(self._read(address, size, now) for _ in range(0, length, size))
        except BusError as fault:
            self._sticky, self._tar = True, fault.address  # OpenOCD reads TAR to say where it failed
            raise RefusedError(AP_FAULT) from fault

    def _read_block(self, address: int, length: int, size: int, now: float) -> bytes:
        try:
            return self._board.read_block(address, length, now)
        except BusError:
            return b"".join(self._read(address + n, size, now) for n in range(0, length, size))

    def _read(self, address: int, size: int, now: float) -> bytes:
        return self._board.read(address, size, now).to_bytes(size, "little")

    def write_memory(self, address: int, data: bytes, size: int, now: float, increment: bool = True) -> None:
        """Write memory in units of `size` bytes; raises RefusedError."""
        self.check(now)
        self._sticky = False
        try:
            for n in range(0, len(data) - len(data) % size, size):
                value = int.from_bytes(data[n : n + size], "little")
                self._board.write(address + n * increment, size, value, now)
        except BusError as fault:
            self._sticky, self._tar = True, fault.address  # OpenOCD reads TAR to say where it failed
            raise RefusedError(AP_FAULT) from fault

    # ---- registers ----

    def read_register(self, port: int, register: int, now: float) -> int:
        """Read a DP register (port 0xFFFF) or a register of access port 0; raises RefusedError."""
        self.check(now)
        if port == DEBUG_PORT:
            return self._read_dp(register)
        if port != 0:
            return 0  # no further access ports: IDR reads 0
        return self._read_ap(register, now)

    def _read_dp(self, register: int) -> int:
        match register:
            case 0x00:
                return self._board.spec.dpidr
            case 0x04:
                power = self._control & _POWER_REQUEST
                return self._control | power << 1 | self._sticky << 5
            case 0x08:
                return self._select
        return 0

    def _read_ap(self, register: int, now: float) -> int:
        match register:
            case 0x00:
                return self._csw | 0x23000040
            case 0x04:
                return self._tar
            case 0x0C | 0x10 | 0x14 | 0x18 | 0x1C:
                at = self._data_address(register)
                return int.from_bytes(self.read_memory(at, 4, 4, now), "little")
            case 0xF8:
                return 0xE00FF003
            case 0xFC:
                return self._board.spec.ap_idr
        return 0

    def write_register(self, port: int, register: int, value: int, now: float) -> None:
        """Write a DP register (port 0xFFFF) or a register of access port 0; raises RefusedError."""
        self.check(now)
        if port == DEBUG_PORT:
            self._write_dp(register, value)
        elif port == 0:
            self._write_ap(register, value, now)

    def _write_dp(self, register: int, value: int) -> None:
        match register:
            case 0x00 if value & 4:
                self._sticky = False  # ABORT.STKERRCLR
            case 0x04:
                self._control = value & 0x50000F01
            case 0x08:
                self._select = value

    def _write_ap(self, register: int, value: int, now: float) -> None:
        match register:
            case 0x00:
                self._csw = value & 0xFF00003F
            case 0x04:
                self._tar = value
            case 0x0C | 0x10 | 0x14 | 0x18 | 0x1C:
                self.write_memory(self._data_address(register), value.to_bytes(4, "little"), 4, now)

    def _data_address(self, register: int) -> int:
        if register != 0x0C:
            return self._tar & ~0xF | register & 0xC  # banked data registers do not move TAR
        at = self._tar
        if self._csw & 0x30:
            self._tar = at - at % _WRAP + (at + 4) % _WRAP
        return at
