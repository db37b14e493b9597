"""The debug port and the AHB access ports of the target, as an ST-LINK sees them (ARM IHI 0031)."""

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
    """Debug port registers and memory access through the access ports of the board's cores.

    `link(port, now)` says what an access gets; the port is None for the debug port itself.
    """

    def __init__(self, board: Board, link: Callable[[int | None, float], Link]) -> None:
        self._board = board
        self._link = link
        self.reset()

    def reset(self) -> None:
        """The state after power on or a line reset."""
        self._select = self._control = 0
        self._csw, self._tar = [0] * self.ports, [0] * self.ports
        self._sticky = False

    @property
    def ports(self) -> int:
        """How many access ports there are."""
        return len(self._board.domains)

    def check(self, now: float, port: int | None = None) -> None:
        """Raise RefusedError unless the debug port, or the access port `port` behind it, answers."""
        match self._link(port, now):
            case Link.DEAD:
                raise RefusedError(DP_ERROR)
            case Link.WAIT:
                raise RefusedError(DP_WAIT)
            case Link.FAULT:
                self._sticky = True
                raise RefusedError(AP_FAULT)

    # ---- memory ----

    def read_memory(self, address: int, length: int, size: int, now: float, increment: bool = True, port: int = 0) -> bytes:
        """Read memory in units of `size` bytes; raises RefusedError.

        In SWD mode the ST-LINK sets TAR for every unit, so nothing wraps here; OpenOCD's dap-direct
        queue relies on it and merges up to 6144 bytes across 4 KiB borders (stlink_usb.c:4417).
        """
        self.check(now, port)
        self._sticky = False
        try:
            if increment:
                return self._read_block(address, length, size, now, port)
            return b"".join(self._read(address, size, now, port) for _ in range(0, length, size))
        except BusError as fault:
            raise self._fault(fault, port) from fault

    def _fault(self, fault: BusError, port: int) -> RefusedError:
        self._sticky, self._tar[port] = True, fault.address  # OpenOCD reads TAR to say where it failed
        return RefusedError(AP_FAULT)

    def _read_block(self, address: int, length: int, size: int, now: float, port: int) -> bytes:
        try:
            return self._board.read_block(address, length, now, port)
        except BusError:
            return b"".join(self._read(address + n, size, now, port) for n in range(0, length, size))

    def _read(self, address: int, size: int, now: float, port: int) -> bytes:
        return self._board.read(address, size, now, port).to_bytes(size, "little")

    def write_memory(self, address: int, data: bytes, size: int, now: float, increment: bool = True, port: int = 0) -> None:
        """Write memory in units of `size` bytes; raises RefusedError."""
        self.check(now, port)
        self._sticky = False
        try:
            for n in range(0, len(data) - len(data) % size, size):
                value = int.from_bytes(data[n : n + size], "little")
                self._board.write(address + n * increment, size, value, now, port)
        except BusError as fault:
            raise self._fault(fault, port) from fault

    # ---- registers ----

    def read_register(self, port: int, register: int, now: float) -> int:
        """Read a DP register (port 0xFFFF) or a register of an access port; raises RefusedError."""
        if port == DEBUG_PORT:
            self.check(now)
            return self._read_dp(register)
        self.check(now, port)
        if port >= self.ports:
            return 0  # no further access ports: IDR reads 0
        return self._read_ap(port, register, now)

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

    def _read_ap(self, port: int, register: int, now: float) -> int:
        match register:
            case 0x00:
                return self._csw[port] | 0x23000040
            case 0x04:
                return self._tar[port]
            case 0x0C | 0x10 | 0x14 | 0x18 | 0x1C:
                at = self._data_address(port, register)
                return int.from_bytes(self.read_memory(at, 4, 4, now, port=port), "little")
            case 0xF8:
                return 0xE00FF003
            case 0xFC:
                return self._board.spec.ap_idr
        return 0

    def write_register(self, port: int, register: int, value: int, now: float) -> None:
        """Write a DP register (port 0xFFFF) or a register of an access port; raises RefusedError."""
        if port == DEBUG_PORT:
            self.check(now)
            self._write_dp(register, value)
            return
        self.check(now, port)
        if port < self.ports:
            self._write_ap(port, register, value, now)

    def _write_dp(self, register: int, value: int) -> None:
        match register:
            case 0x00 if value & 4:
                self._sticky = False  # ABORT.STKERRCLR
            case 0x04:
                self._control = value & 0x50000F01
            case 0x08:
                self._select = value

    def _write_ap(self, port: int, register: int, value: int, now: float) -> None:
        match register:
            case 0x00:
                self._csw[port] = value & 0xFF00003F
            case 0x04:
                self._tar[port] = value
            case 0x0C | 0x10 | 0x14 | 0x18 | 0x1C:
                at = self._data_address(port, register)
                self.write_memory(at, value.to_bytes(4, "little"), 4, now, port=port)

    def _data_address(self, port: int, register: int) -> int:
        if register != 0x0C:
            return self._tar[port] & ~0xF | register & 0xC  # banked data registers do not move TAR
        at = self._tar[port]
        if self._csw[port] & 0x30:
            self._tar[port] = at - at % _WRAP + (at + 4) % _WRAP
        return at
