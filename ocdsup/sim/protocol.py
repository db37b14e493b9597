"""The framing of ST's stlink-server protocol: bytes in, requests out, replies to bytes. Little endian.

Read from OpenOCD v0.12.0, src/jtag/drivers/stlink_usb.c:446-474 (codes) and :3456-3655 (use).
"""

from __future__ import annotations

from dataclasses import dataclass

API, VERSION = 2, (2, 1, 1)  # from API 3 on OpenOCD would use RW_MISC commands
OK, BAD_PARAMETER, OPEN_ERROR = 1, 0x1002, 0x1003
REFRESH, COUNT, INFO, OPEN, CLOSE, USB, SERVER_VERSION = range(7)
_LENGTH = {REFRESH: 2, COUNT: 1, INFO: 8, OPEN: 8, CLOSE: 8, USB: 32, SERVER_VERSION: 4}
LARGEST = 10240  # OpenOCD's own buffer for one transfer
WRITE = 0
_INFO_SIZE = 41


class JunkError(Exception):
    """Bytes that are no request of this protocol; the connection is beyond help."""


@dataclass(frozen=True, slots=True)
class Request:
    """One request: `handle` is a device index, device id or connect id, as the operation wants."""

    operation: int
    handle: int = 0
    command: bytes = b""
    data: bytes = b""
    size: int = 0  # bytes to read


class Framer:
    """Cuts a byte stream into requests, however it is chopped."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> list[Request]:
        """Return the requests completed by `data`; raises JunkError when the stream makes no sense."""
        self._buffer += data
        found = []
        while (length := self._needed()) and len(self._buffer) >= length:
            found.append(_parse(bytes(self._buffer[:length])))
            del self._buffer[:length]
        return found

    def _needed(self) -> int:
        """Return the length of the request in front, or 0 when that cannot be told yet."""
        if not self._buffer:
            return 0
        length = _LENGTH.get(self._buffer[0])
        if length is None:
            raise JunkError(f"operation 0x{self._buffer[0]:02x}")
        if self._buffer[0] != USB or len(self._buffer) < length:
            return length
        size = int.from_bytes(self._buffer[28:32], "little")
        if size > LARGEST:
            raise JunkError(f"transfer of {size} bytes")
        return length + size if self._buffer[24] == WRITE else length


def _parse(raw: bytes) -> Request:
    operation = raw[0]
    if operation == USB:
        size = int.from_bytes(raw[28:32], "little") if raw[24] != WRITE else 0
        return Request(USB, int.from_bytes(raw[4:8], "little"), raw[8:24], raw[32:], size)
    if operation == INFO:
        return Request(INFO, raw[1])
    if operation in (OPEN, CLOSE):
        return Request(operation, int.from_bytes(raw[4:8], "little"))
    return Request(operation)


def word(value: int) -> bytes:
    """Return a 32-bit little-endian word."""
    return value.to_bytes(4, "little")


def version_reply() -> bytes:
    """Return the answer to SERVER_VERSION."""
    return b"".join(word(part) for part in (API, *VERSION))


def info_reply(device: int, serial: str, vid: int, pid: int, used: bool) -> bytes:
    """Return the answer to INFO: status, device id, serial of 32 bytes, VID, PID, in use."""
    text = serial.encode("ascii", "replace")[:32].ljust(32, b"\0")
    return word(OK) + word(device) + text + vid.to_bytes(2, "little") + pid.to_bytes(2, "little") + bytes([used])


def failure(request: Request, status: int) -> bytes:
    """Return a failed answer in full length: OpenOCD waits for every byte it asked for."""
    extra = {INFO: _INFO_SIZE, OPEN: 4}.get(request.operation, request.size)
    return word(status) + bytes(extra)
