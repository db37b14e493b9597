"""The account of one debugger's connection: a process that is killed anywhere loses no byte of it and says none twice.

Two rules, kept by `ledger`. What follows from a read is done only after the record that includes it was written; and what GDB
is about to get is part of that record. The kernel counts what was read from and written to a TCP connection, whoever did it
(tcp(7), TCP_INFO), so the next process sees what is missing: bytes that were read and not recorded are still in the ring of the
`Page`, bytes that were recorded and not written are in the record. A plain memory read and its answer are not recorded, only
counted: asked twice, it does no harm.
"""

from __future__ import annotations

import fcntl
import mmap
import os
import socket
import struct
from dataclasses import dataclass

from ocdsup.rsp.parked import SLOT, Parked, RecordError

_RING = 256 * 1024  # bytes, several reads
_COUNTS_AT = 2 * SLOT
_RING_AT = _COUNTS_AT + mmap.ALLOCATIONGRANULARITY
_COUNTS = struct.Struct("<QQQ")
# linux/tcp.h, struct tcp_info: the state first, not-sent bytes at 144, bytes received at 128, bytes sent and sent again at 200.
_TCP_INFO = struct.Struct("<B127xQ8xI52xQQ")
_SIOCINQ = 0x541B  # asm-generic/ioctls.h, FIONREAD: bytes received and not read
_CLOSE_WAIT = 8  # the peer's FIN has come, and is counted as a byte received
_TRIES = 100


@dataclass(frozen=True, slots=True)
class Moved:
    """Bytes that were read from a connection and written to it, since it was accepted."""

    taken: int
    given: int


def moved(sock: socket.socket) -> Moved:
    """What the kernel has counted. Raises OSError, also from a kernel before Linux 4.19."""
    for _ in range(_TRIES):
        before, unread, after = _info(sock), fcntl.ioctl(sock.fileno(), _SIOCINQ, bytes(4)), _info(sock)
        if before == after:
            state, received, unsent, sent, again = after
            return Moved(received - (state == _CLOSE_WAIT) - int(struct.unpack("i", unread)[0]), sent - again + unsent)
    raise OSError("the debugger does not stop sending")


def _info(sock: socket.socket) -> tuple[int, ...]:
    data = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _TCP_INFO.size)
    if len(data) < _TCP_INFO.size:
        raise OSError("this kernel does not count the bytes of a connection")
    return _TCP_INFO.unpack(data)


class Page:
    """The part of a session's file behind the records: the counts, and the last bytes that were read.

    Byte n of the connection is at n modulo the size of the ring.
    """

    def __init__(self, file: int) -> None:
        if os.fstat(file).st_size < _RING_AT + _RING:
            os.ftruncate(file, _RING_AT + _RING)
        self._map = mmap.mmap(file, _RING + mmap.ALLOCATIONGRANULARITY, offset=_COUNTS_AT)
        self._ring = memoryview(self._map)[mmap.ALLOCATIONGRANULARITY :]

    def receive(self, sock: socket.socket, limit: int, at: int) -> bytes:
        """Read at most `limit` bytes into the ring; the first is byte number `at`. Raises what `recv` raises."""
        start = at % _RING
        place = self._ring[start : start + limit]
        return bytes(place[: sock.recv_into(place)])

    def since(self, start: int, end: int) -> bytes:
        """The bytes from number `start` to before `end`. Raises RecordError when they are not there any more."""
        if not 0 <= end - start <= _RING:
            raise RecordError(f"{end - start} bytes were read and not recorded")
        first, last = start % _RING, start % _RING + (end - start)
        return bytes(self._ring[first : min(last, _RING)]) + bytes(self._ring[: max(0, last - _RING)])

    def count(self, generation: int, taken: int, given: int) -> None:
        """Note how far the connection is since the record of this generation."""
        _COUNTS.pack_into(self._map, 0, generation, taken, given)

    def counted(self, parked: Parked, generation: int) -> Moved:
        """How far the connection was when something was last noted."""
        of, taken, given = _COUNTS.unpack_from(self._map)
        return Moved(taken, given) if of == generation else Moved(parked.taken, parked.given)

    def close(self) -> None:
        """Unmap it; the file stays."""
        self._ring.release()
        self._map.close()


@dataclass(frozen=True, slots=True)
class Balance:
    """What is to be done before a session goes on: `rest` still has to reach GDB, `fresh` was read and has had no effect."""

    noted: Moved
    rest: bytes = b""
    fresh: bytes = b""


def balance(sock: socket.socket, file: int, parked: Parked, generation: int) -> Balance:
    """Compare what was noted with what the kernel counted. Raises RecordError when bytes are lost, OSError."""
    page = Page(file)
    try:
        noted, now = page.counted(parked, generation), moved(sock)
        fresh = page.since(noted.taken, now.taken)
    finally:
        page.close()
    if now.given > noted.given:
        return Balance(now)  # the answer to a plain read was written and not counted any more; `fresh` is that read
    owed = noted.given - now.given
    if owed > (len(parked.unsent) if noted.given == parked.given else 0):
        raise RecordError(f"{owed} bytes did not reach the debugger, and they are lost")
    return Balance(noted, parked.unsent[len(parked.unsent) - owed :], fresh)
