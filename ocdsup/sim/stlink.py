"""The ST-LINK/V2-1 command set: a 16-byte command and data in, data out.

Command codes as in OpenOCD v0.12.0, src/jtag/drivers/stlink_usb.c:295-420. The firmware announced
is V2J37M26 (V2J37S7 for the ST-LINK/V2, PID 3748): OpenOCD then uses every command of the V2 family.
"""

from __future__ import annotations

from collections.abc import Callable

from ocdsup.sim import scs
from ocdsup.sim.board import Board
from ocdsup.sim.dap import BAD_AP, OK, Dap, RefusedError
from ocdsup.sim.faults import Faults
from ocdsup.sim.journal import Journal

MASS, DEBUG = 1, 2  # GET_CURRENT_MODE
_NO_IDCODE = 0x09  # entering a debug mode without an answer
_UNKNOWN = 0x42  # any code OpenOCD does not know reads as an error
_UNIT = {0x07: 4, 0x08: 4, 0x0C: 1, 0x0D: 1, 0x47: 2, 0x48: 2, 0x50: 4, 0x54: 4}
_FIXED_ADDRESS = (0x50, 0x54)
_V2_PID = 0x3748
_ADC_REFERENCE = 1487  # counts of the 1.2 V reference; the target voltage is halved in front of the ADC


class StLink:
    """One ST-LINK between a host and a board."""

    def __init__(self, pid: int, board: Board, faults: Faults, journal: Journal) -> None:
        self._pid = pid
        self._board, self._faults, self._journal = board, faults, journal
        self._dap = Dap(board, lambda port, now: faults.link(board, now, port))
        self.reset()

    def reset(self) -> None:
        """The state after plugging in: no debug mode; the NRST pin is let go by the caller."""
        self._mode, self._jtag, self._last, self._fault_address = MASS, False, OK, 0
        self._dap.reset()

    def execute(self, command: bytes, data: bytes, size: int, now: float) -> bytes:
        """Carry out a command; return exactly `size` bytes for a read, whatever happens."""
        call = _TOP.get(command[0]) if command[0] != 0xF2 else _DEBUG.get(command[1])
        self._journal.count("command")
        try:
            answer = bytes([_UNKNOWN]) if call is None else call(self, command, data, now)
        except RefusedError as refused:
            answer = bytes([refused.status])
            self._journal.count("refused")
        return answer[:size].ljust(size, b"\0")

    # ---- the probe itself ----

    def _version(self, _command: bytes, _data: bytes, _now: float) -> bytes:
        second = 7 if self._pid == _V2_PID else 26
        word = 2 << 12 | 37 << 6 | second
        return word.to_bytes(2, "big") + (0x0483).to_bytes(2, "little") + self._pid.to_bytes(2, "little")

    def _current_mode(self, _command: bytes, _data: bytes, _now: float) -> bytes:
        return bytes([self._mode, 0])

    def _voltage(self, _command: bytes, _data: bytes, _now: float) -> bytes:
        volts = self._faults.option("low-voltage", "volts") if "low-voltage" in self._faults else 3.25
        reading = round((volts or 0.0) / 2.4 * _ADC_REFERENCE)
        return _ADC_REFERENCE.to_bytes(4, "little") + reading.to_bytes(4, "little")

    def _leave_mass_storage(self, _command: bytes, _data: bytes, _now: float) -> bytes:
        return b""

    def _ok(self, _command: bytes, _data: bytes, _now: float) -> bytes:
        return bytes([OK, 0])

    def _no_trace(self, _command: bytes, _data: bytes, _now: float) -> bytes:
        return bytes(2)

    # ---- modes and reset ----

    def _enter(self, command: bytes, _data: bytes, now: float) -> bytes:
        self._jtag = command[2] in (0x00, 0xA4)
        self._journal.note(now, "enter-jtag" if self._jtag else "enter-swd")
        self._mode = DEBUG
        try:
            self._dap.check(now)
        except RefusedError as refused:
            if refused.status == 0x16:
                raise RefusedError(_NO_IDCODE) from refused
            raise
        self._dap.write_register(0xFFFF, 4, 0x50000000, now)
        return bytes([OK, 0])

    def _exit(self, _command: bytes, _data: bytes, now: float) -> bytes:
        self._journal.note(now, "exit")
        self._mode = MASS
        return b""

    def _idcodes(self, _command: bytes, _data: bytes, now: float) -> bytes:
        self._dap.check(now)
        spec = self._board.spec
        idcode = spec.jtag_idcode if self._jtag else spec.dpidr
        return bytes([OK, 0, 0, 0]) + idcode.to_bytes(4, "little") + bytes(4)

    def _reset_system(self, _command: bytes, _data: bytes, now: float) -> bytes:
        self._journal.note(now, "reset-system")
        self._dap.write_memory(scs.AIRCR, (0x05FA0004).to_bytes(4, "little"), 4, now)
        return bytes([OK, 0])

    def _drive_nrst(self, command: bytes, _data: bytes, now: float) -> bytes:
        if command[2] == 2:
            self.drive_nrst(True, now)
            self.drive_nrst(False, now)
        else:
            self.drive_nrst(command[2] == 0, now)
        return bytes([OK, 0])

    def drive_nrst(self, low: bool, now: float) -> None:
        """Drive the NRST pin; the board sees it unless the wire is missing."""
        self._journal.note(now, "nrst-low" if low else "nrst-high")
        if "nrst-unwired" not in self._faults:
            self._board.drive_nrst(low)

    # ---- memory and registers ----

    def _read_memory(self, command: bytes, _data: bytes, now: float) -> bytes:
        address, length = _address_length(command)
        self._journal.count("memory-read")
        try:
            increment = command[1] not in _FIXED_ADDRESS
            found = self._dap.read_memory(address, length, _UNIT[command[1]], now, increment, self._port(command))
            self._last = OK
        except RefusedError as refused:
            self._last, self._fault_address, found = refused.status, address, bytes(length)
        return found

    def _write_memory(self, command: bytes, data: bytes, now: float) -> bytes:
        address, length = _address_length(command)
        self._journal.count("memory-write")
        try:
            increment = command[1] not in _FIXED_ADDRESS
            self._dap.write_memory(address, data[:length], _UNIT[command[1]], now, increment, self._port(command))
            self._last = OK
        except RefusedError as refused:
            self._last, self._fault_address = refused.status, address
        return b""

    def _port(self, command: bytes) -> int:
        """The access port of a memory command, in the byte behind its length (0 from HLA); raises RefusedError."""
        if command[8] >= self._dap.ports:
            raise RefusedError(BAD_AP)
        return command[8]

    def _last_status(self, _command: bytes, _data: bytes, _now: float) -> bytes:
        return bytes([self._last, 0, 0, 0]) + self._fault_address.to_bytes(4, "little") + bytes(4)

    def _read_debug(self, command: bytes, _data: bytes, now: float) -> bytes:
        self._journal.count("register-read")
        return bytes([OK, 0, 0, 0]) + self._dap.read_memory(_u32(command, 2), 4, 4, now)

    def _write_debug(self, command: bytes, _data: bytes, now: float) -> bytes:
        self._journal.count("register-write")
        self._dap.write_memory(_u32(command, 2), command[6:10], 4, now)
        return bytes([OK, 0])

    def _core_register(self, number: int, now: float) -> bytes:
        self._dap.write_memory(scs.DCRSR, number.to_bytes(4, "little"), 4, now)
        return self._dap.read_memory(scs.DCRDR, 4, 4, now)

    def _read_register(self, command: bytes, _data: bytes, now: float) -> bytes:
        return bytes([OK, 0, 0, 0]) + self._core_register(command[2], now)

    def _read_registers(self, _command: bytes, _data: bytes, now: float) -> bytes:
        return bytes([OK, 0, 0, 0]) + b"".join(self._core_register(n, now) for n in range(21))

    def _write_register(self, command: bytes, _data: bytes, now: float) -> bytes:
        self._dap.write_memory(scs.DCRDR, command[3:7], 4, now)
        self._dap.write_memory(scs.DCRSR, (1 << 16 | command[2]).to_bytes(4, "little"), 4, now)
        return bytes([OK, 0])

    # ---- debug port and access ports (dap-direct) ----

    def _open_port(self, command: bytes, _data: bytes, now: float) -> bytes:
        self._dap.check(now)
        return bytes([OK if command[2] < self._dap.ports else BAD_AP, 0])

    def _read_dap(self, command: bytes, _data: bytes, now: float) -> bytes:
        self._journal.count("dap-read")
        value = self._dap.read_register(_u16(command, 2), _u16(command, 4), now)
        return bytes([OK, 0, 0, 0]) + value.to_bytes(4, "little")

    def _write_dap(self, command: bytes, _data: bytes, now: float) -> bytes:
        self._journal.count("dap-write")
        self._dap.write_register(_u16(command, 2), _u16(command, 4), _u32(command, 6), now)
        return bytes([OK, 0])


_Call = Callable[[StLink, bytes, bytes, float], bytes]
_TOP: dict[int, _Call] = {
    0xF1: StLink._version,
    0xF3: StLink._leave_mass_storage,
    0xF5: StLink._current_mode,
    0xF7: StLink._voltage,
}
_DEBUG: dict[int, _Call] = {
    0x07: StLink._read_memory,
    0x08: StLink._write_memory,
    0x0C: StLink._read_memory,
    0x0D: StLink._write_memory,
    0x21: StLink._exit,
    0x30: StLink._enter,
    0x31: StLink._idcodes,
    0x32: StLink._reset_system,
    0x33: StLink._read_register,
    0x34: StLink._write_register,
    0x35: StLink._write_debug,
    0x36: StLink._read_debug,
    0x3A: StLink._read_registers,
    0x3B: StLink._last_status,
    0x3C: StLink._drive_nrst,
    0x3E: StLink._last_status,
    0x40: StLink._ok,
    0x41: StLink._ok,
    0x42: StLink._no_trace,
    0x43: StLink._ok,
    0x44: StLink._ok,
    0x45: StLink._read_dap,
    0x46: StLink._write_dap,
    0x47: StLink._read_memory,
    0x48: StLink._write_memory,
    0x4B: StLink._open_port,
    0x4C: StLink._ok,
    0x50: StLink._write_memory,
    0x54: StLink._read_memory,
}


def _u16(command: bytes, at: int) -> int:
    return int.from_bytes(command[at : at + 2], "little")


def _u32(command: bytes, at: int) -> int:
    return int.from_bytes(command[at : at + 4], "little")


def _address_length(command: bytes) -> tuple[int, int]:
    return _u32(command, 2), _u16(command, 6)
