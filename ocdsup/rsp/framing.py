"""Bytes to frames and back: the lowest layer of the GDB remote serial protocol.

Source: GDB manual, appendix E.1 "Overview", E.9 "Notification Packets", E.11 "Packet Acknowledgment"; what OpenOCD and GDB
do beyond it was observed (OpenOCD 0.12 gdb_server.c, GDB 13 remote.c).

Payload bytes are never touched one by one in Python: frames are found with `find`, and checksums are computed only when the
leg still uses acknowledgements (TCP protects the bytes already).
"""

import re
from dataclasses import dataclass
from enum import Enum
from zlib import adler32

ACK = b"+"
NACK = b"-"
INTERRUPT = b"\x03"

# Escaped by whoever sends binary data; `*` matters only from a server, because only servers may run-length encode.
_MUST_ESCAPE = re.compile(rb"[#$}*]")
_RUN_OR_ESCAPE = re.compile(rb"(\}.|[^}*])((?:\*.)+)|(\}.)", re.DOTALL)  # other bytes are passed over in C
_NEXT_FROM_CLIENT = re.compile(rb"[$+\-\x03]")
_NEXT_FROM_SERVER = re.compile(rb"[$%+\-]")
_HEX2 = re.compile(rb"[0-9a-fA-F]{2}")
_BELOW_THIS_SUM_WINS = 128
_ADLER_BLOCK = 256  # 256 * 255 = 65280 < 65521, the modulus: the low half of adler32 is then the plain sum


class Kind(Enum):
    """What one frame is."""

    PACKET = "packet"
    NOTIFICATION = "notification"
    ACK = "ack"
    NACK = "nack"
    INTERRUPT = "interrupt"
    DAMAGED = "damaged"  # a whole packet whose checksum is wrong
    JUNK = "junk"  # bytes that belong to no frame
    OVERSIZE = "oversize"  # a packet longer than the cap: its beginning; the rest is skipped up to its end


class Side(Enum):
    """Who sends the bytes that a `Framer` reads."""

    CLIENT = "client"
    SERVER = "server"


@dataclass(frozen=True, slots=True)
class Frame:
    """One frame as it stood on the wire."""

    kind: Kind
    raw: bytes

    @property
    def body(self) -> bytes:
        """Return what stands between `$` (or `%`) and `#`, still escaped and run-length encoded."""
        return self.raw[1:-3]


_PLAIN = {
    0x2B: Frame(Kind.ACK, ACK),
    0x2D: Frame(Kind.NACK, NACK),
}
_INTERRUPT_FRAME = Frame(Kind.INTERRUPT, INTERRUPT)


def checksum(body: bytes | memoryview) -> int:
    """Return the sum of all bytes modulo 256 (GDB manual E.1)."""
    if len(body) < _BELOW_THIS_SUM_WINS:
        return sum(body) & 0xFF
    view = memoryview(body)
    return sum(adler32(view[i : i + _ADLER_BLOCK], 0) & 0xFFFF for i in range(0, len(view), _ADLER_BLOCK)) & 0xFF


def encode(body: bytes, start: bytes = b"$") -> bytes:
    """Return the frame of a body that is already escaped; `start` is `$` or `%`."""
    return b"%b%b#%02x" % (start, body, checksum(body))


def escape(data: bytes) -> bytes:
    """Return binary data with `#`, `$`, `}` and `*` escaped as `}` and the byte xor 0x20 (GDB manual E.1)."""
    return _MUST_ESCAPE.sub(lambda found: bytes((0x7D, found[0][0] ^ 0x20)), data)


def unescape(body: bytes) -> bytes:
    """Return the data of a body from a *client*: escapes are undone, `*` is an ordinary byte there."""
    if b"}" not in body:
        return body
    return re.sub(rb"\}(.)", lambda found: bytes((found[1][0] ^ 0x20,)), body, flags=re.DOTALL)


def expand(body: bytes) -> bytes:
    """Return the data of a body from a *server*: escapes undone and runs (`0* ` is four zeros) written out."""
    if b"*" not in body and b"}" not in body:
        return body
    return _RUN_OR_ESCAPE.sub(_expand_one, body)


def _expand_one(found: re.Match[bytes]) -> bytes:
    token, runs = found[1] or found[3], found[2] or b""
    byte = token if len(token) == 1 else bytes((token[1] ^ 0x20,))
    return byte * (1 + sum(max(count - 29, 0) for count in runs[1::2]))


class Framer:
    """Cuts the byte stream of one direction of one connection into frames, whatever the chunks.

    `verify` says whether checksums are looked at (only while the leg uses acknowledgements); it may be changed at any time.
    `limit` caps a body in bytes: a longer packet becomes one `OVERSIZE` frame, and nothing of it is kept.
    """

    __slots__ = ("_buffer", "_next", "_scanned", "_side", "_skipping", "limit", "verify")

    def __init__(self, side: Side, *, verify: bool = True, limit: int = 1 << 22) -> None:
        """Start between two packets; `limit` in bytes."""
        self._side = side
        self._next = _NEXT_FROM_CLIENT if side is Side.CLIENT else _NEXT_FROM_SERVER
        self._buffer = bytearray()
        self._scanned = 0  # bytes of an unfinished packet that hold no `#`: not searched twice
        self._skipping = False
        self.verify = verify
        self.limit = limit

    @property
    def unfinished(self) -> int:
        """Return how many bytes of a packet are waiting for its end."""
        return len(self._buffer)

    @property
    def between(self) -> bool:
        """Tell whether the next byte begins a frame."""
        return not self._buffer and not self._skipping

    def feed(self, data: bytes) -> list[Frame]:
        """Return the frames that `data` completes, in order."""
        # The usual case: one read is exactly one packet, and nothing is left over from before.
        if (
            not self._buffer
            and not self._skipping
            and data[:1] == b"$"
            and 4 <= len(data) <= self.limit
            and data.find(b"#") == len(data) - 3
            and data.rfind(b"$") == 0
        ):
            return [self._packet(data)]
        self._buffer += data
        return self._cut()

    def _cut(self) -> list[Frame]:
        frames: list[Frame] = []
        at, end = 0, len(self._buffer)
        while at < end:
            after = self._skip(at) if self._skipping else self._one(at, frames)
            if after == at:
                break
            at = after
        del self._buffer[:at]
        return frames

    def _skip(self, at: int) -> int:
        """Pass over the rest of an oversize packet; return where the next frame may begin."""
        mark = self._buffer.find(b"#", at)
        if mark < 0:
            return len(self._buffer)
        if mark + 3 > len(self._buffer):
            return mark if mark > at else at
        self._skipping = False
        return mark + 3

    def _one(self, at: int, frames: list[Frame]) -> int:
        """Take the frame at `at`; return the position after it, or `at` when it is not complete."""
        first = self._buffer[at]
        if first == 0x24 or (first == 0x25 and self._side is Side.SERVER):
            return self._framed(at, frames)
        if first == 0x03 and self._side is Side.CLIENT:
            frames.append(_INTERRUPT_FRAME)
            return at + 1
        plain = _PLAIN.get(first)
        if plain is not None:
            frames.append(plain)
            return at + 1
        found = self._next.search(self._buffer, at)
        after = found.start() if found else len(self._buffer)
        frames.append(Frame(Kind.JUNK, bytes(self._buffer[at:after])))
        return after

    def _framed(self, at: int, frames: list[Frame]) -> int:
        buffer = self._buffer
        mark = buffer.find(b"#", max(at + 1, self._scanned))
        restart = buffer.rfind(b"$", at + 1, mark if mark >= 0 else len(buffer))
        if restart >= 0:
            # A `$` is always escaped inside a packet: the sender began anew (GDB 13 read_frame does the same).
            frames.append(Frame(Kind.JUNK, bytes(buffer[at:restart])))
            self._scanned = 0
            return restart
        if mark < 0 or mark + 3 > len(buffer):
            return self._wait(at, mark, frames)
        self._scanned = 0
        raw = bytes(buffer[at : mark + 3])
        frames.append(self._packet(raw) if mark - at <= self.limit else Frame(Kind.OVERSIZE, raw[:64]))
        return mark + 3

    def _wait(self, at: int, mark: int, frames: list[Frame]) -> int:
        length = (mark if mark >= 0 else len(self._buffer)) - at
        if length <= self.limit:
            # Positions are counted from `at`, because everything before it leaves the buffer when this round ends.
            self._scanned = max(length if mark < 0 else length - 1, 0)
            return at
        frames.append(Frame(Kind.OVERSIZE, bytes(self._buffer[at : at + 64])))
        self._skipping, self._scanned = True, 0
        return mark if mark >= 0 else len(self._buffer)

    def _packet(self, raw: bytes) -> Frame:
        kind = Kind.PACKET if raw[0] == 0x24 else Kind.NOTIFICATION
        if self.verify and not _intact(raw):
            return Frame(Kind.DAMAGED, raw)
        return Frame(kind, raw)


def _intact(raw: bytes) -> bool:
    digits = raw[-2:]
    return _HEX2.fullmatch(digits) is not None and int(digits, 16) == checksum(memoryview(raw)[1:-3])
