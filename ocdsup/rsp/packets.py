"""Requests by name: what each packet of GDB asks, what kind of answer it gets, and whether it may be sent twice.

Sources: GDB manual, appendix E.2 "Packets", E.4 "General Query Packets", E.3 "Stop Reply Packets"; OpenOCD 0.12
gdb_server.c for what that server does. Only the first bytes of a body are looked at; arguments are parsed where they are used.
"""

import re
from dataclasses import dataclass
from enum import Enum
from functools import lru_cache
from typing import NamedTuple


class Answer(Enum):
    """How the server answers a request."""

    ONE = "one"  # exactly one packet
    STOP = "stop"  # nothing until the target stops; console and file-I/O packets may come before
    TEXT = "text"  # console packets `O…`, then one packet
    NONE = "none"  # nothing at all


class Group(Enum):
    """What a request does, as far as the session that outlives its backend has to care."""

    READ = "read"  # reads target state
    QUERY = "query"  # asks the server about itself, changes nothing
    MEMORY = "memory"  # writes memory
    REGISTER = "register"  # writes registers
    RESUME = "resume"  # lets the target run
    POINT = "point"  # sets or clears a break- or watchpoint
    FLASH = "flash"  # part of a flash transaction
    MONITOR = "monitor"  # a command line for the server
    SESSION = "session"  # attach, detach, kill, mode of the connection
    OTHER = "other"


@dataclass(frozen=True, slots=True)
class Row:
    """One kind of request.

    `again`: it may be sent a second time to another backend when its answer never came.
    `timed`: GDB gives up on it after a few seconds (three tries of `remotetimeout`, 2 s by default).
    """

    name: str
    group: Group
    answer: Answer = Answer.ONE
    again: bool = True
    timed: bool = True


def _rows(*rows: Row) -> dict[str, Row]:
    return {row.name: row for row in rows}


UNKNOWN = Row("unknown", Group.OTHER, again=False)

# By the first letter alone.
LETTERS = _rows(
    Row("?", Group.READ),
    Row("g", Group.READ),
    Row("p", Group.READ),
    Row("m", Group.READ),
    Row("x", Group.READ),
    Row("T", Group.READ),
    Row("H", Group.SESSION),
    Row("!", Group.SESSION),
    Row("D", Group.SESSION),
    Row("k", Group.SESSION, Answer.NONE, again=False, timed=False),
    Row("R", Group.SESSION, Answer.NONE, again=False, timed=False),
    Row("r", Group.SESSION, Answer.NONE, again=False, timed=False),
    Row("F", Group.OTHER, Answer.NONE, again=False, timed=False),  # result of a file-I/O request of the target
    Row("G", Group.REGISTER),
    Row("P", Group.REGISTER),
    Row("M", Group.MEMORY),
    Row("X", Group.MEMORY),
    Row("Z", Group.POINT),
    Row("z", Group.POINT),
    Row("c", Group.RESUME, Answer.STOP, again=False, timed=False),
    Row("C", Group.RESUME, Answer.STOP, again=False, timed=False),
    Row("s", Group.RESUME, Answer.STOP, again=False, timed=False),
    Row("S", Group.RESUME, Answer.STOP, again=False, timed=False),
    Row("i", Group.RESUME, Answer.STOP, again=False, timed=False),
)

# By the word up to the first of `: ; , ?` (which is not part of the word, except in `vCont?`).
WORDS = _rows(
    Row("vCont", Group.RESUME, Answer.STOP, again=False, timed=False),
    Row("vCont?", Group.QUERY),
    Row("vCtrlC", Group.OTHER, again=False),
    Row("vMustReplyEmpty", Group.QUERY),
    Row("vRun", Group.SESSION, again=False, timed=False),
    Row("vAttach", Group.SESSION, again=False, timed=False),
    Row("vKill", Group.SESSION, again=False, timed=False),
    Row("vStopped", Group.OTHER, again=False),
    Row("vFile", Group.OTHER, again=False, timed=False),
    Row("vFlashErase", Group.FLASH, again=False, timed=False),
    Row("vFlashWrite", Group.FLASH, again=False, timed=False),
    Row("vFlashDone", Group.FLASH, again=False, timed=False),
    Row("qSupported", Group.QUERY),
    Row("qXfer", Group.QUERY),
    Row("qRcmd", Group.MONITOR, Answer.TEXT, again=False, timed=False),
    Row("qCRC", Group.READ),
    Row("qSymbol", Group.SESSION),
    Row("qC", Group.QUERY),
    Row("qAttached", Group.QUERY),
    Row("qOffsets", Group.QUERY),
    Row("qTStatus", Group.QUERY),
    Row("qfThreadInfo", Group.QUERY),
    Row("qsThreadInfo", Group.QUERY, again=False),  # its answer depends on the one before
    Row("qThreadExtraInfo", Group.QUERY),
    Row("QStartNoAckMode", Group.SESSION),
    Row("QNonStop", Group.SESSION),
)

_WORD = re.compile(rb"[vqQjJ][A-Za-z]*\??")
_LONGEST_WORD = 24  # bytes: longer than every word of the table
# The stop replies of an all-stop target (GDB manual E.3); `O` and `F` come before one and do not end the wait.
STOPS = frozenset(b"TSWXN")

OK = b"OK"
EMPTY = b""


def name(body: bytes) -> Row:
    """Return the row of a request; `UNKNOWN` when no table has it."""
    letter = chr(body[0]) if body else ""
    if letter not in "vqQjJ" or not letter:
        return LETTERS.get(letter, UNKNOWN)
    return _by_word(body[:_LONGEST_WORD])


@lru_cache(512)
def _by_word(start: bytes) -> Row:
    found = _WORD.match(start)
    word = found[0].decode("ascii") if found else chr(start[0])
    return WORDS.get(word) or WORDS.get(word.rstrip("?"), UNKNOWN)


def is_error(reply: bytes) -> bool:
    """Tell whether a reply is `Enn` or `E.text`, and not hex data that begins with an E."""
    return reply[:1] == b"E" and (len(reply) == 3 or reply[1:2] == b".")


def error_text(why: str) -> bytes:
    """Return the body of an error packet `E.` with a text: printable ASCII without what frames are made of."""
    plain = "".join(c if " " <= c <= "~" and c not in "#$}*" else "?" for c in why[:200])
    return b"E.ocdsup: " + plain.encode("ascii")


def text_packet(text: str) -> bytes:
    """Return the body of a console packet `O…` that makes GDB print `text`."""
    return b"O" + text.encode("utf-8", "replace").hex().encode("ascii")


def text_of(body: bytes) -> str | None:
    """Return the text of a console packet `O…`; None when it is not one (`OK` is not)."""
    if body[:1] != b"O" or body == OK:
        return None
    return from_hex(body[1:])


def hex_bytes(digits: bytes) -> bytes:
    """Return the bytes that hex digits spell; nothing when they are not hex."""
    try:
        return bytes.fromhex(digits.decode("ascii"))
    except (UnicodeDecodeError, ValueError):
        return b""


def from_hex(digits: bytes) -> str | None:
    """Return the text that hex digits spell; None when they are not hex."""
    try:
        return bytes.fromhex(digits.decode("ascii")).decode("utf-8", "replace")
    except (UnicodeDecodeError, ValueError):
        return None


def monitor_request(line: str) -> bytes:
    """Return the body of `monitor LINE`."""
    return b"qRcmd," + line.encode("utf-8", "replace").hex().encode("ascii")


def monitor_line(body: bytes) -> str | None:
    """Return the command line of a `qRcmd` body; None when it is malformed."""
    return from_hex(body[len(b"qRcmd,") :]) if body.startswith(b"qRcmd,") else None


class Point(NamedTuple):
    """One break- or watchpoint as GDB names it: type 0..4, address, kind (a length in bytes for watchpoints)."""

    type: int
    address: int
    kind: int

    @property
    def body(self) -> bytes:
        """Return type, address and kind as they stand in `Z` and `z` packets."""
        return b"%d,%x,%x" % (self.type, self.address, self.kind)


_POINT = re.compile(rb"[Zz]([0-9]),([0-9a-fA-F]{1,16}),([0-9a-fA-F]{1,8})(?:;.*)?", re.DOTALL)
_SHORT_POINT = 64  # bytes: with conditions it can be as long as a packet, and is not worth keeping


def point_of(body: bytes) -> Point | None:
    """Return the point of a `Z` or `z` body without its conditions; None when it is malformed."""
    return _point(body) if len(body) <= _SHORT_POINT else _point.__wrapped__(body)


@lru_cache(512)  # GDB takes the same ones out at every stop, and puts them in again
def _point(body: bytes) -> Point | None:
    found = _POINT.fullmatch(body)
    return Point(int(found[1]), int(found[2], 16), int(found[3], 16)) if found else None


_SPAN = re.compile(rb"[mxMX]([0-9a-fA-F]{1,16}),([0-9a-fA-F]{1,8})(?::|$)")


def span_of(body: bytes) -> tuple[int, int] | None:
    """Return address and length in bytes of an `m`, `x`, `M` or `X` body; None when it is malformed."""
    found = _SPAN.match(body)
    return (int(found[1], 16), int(found[2], 16)) if found else None


_PIECE = re.compile(rb"(qXfer:[\w-]+:read:[^:]*):([0-9a-fA-F]{1,8}),[0-9a-fA-F]{1,8}")


def piece_of(body: bytes) -> tuple[bytes, int] | None:
    """Return what a `qXfer` reads (all up to its annex) and from which byte on; None when it is malformed, or writes."""
    found = _PIECE.fullmatch(body)
    return (found[1], int(found[2], 16)) if found else None


def steps(body: bytes) -> bool:
    """Tell whether a resume request steps (`s`, `S`, `vCont;s`, `vCont;r…`) rather than continues."""
    return body[:1] in (b"s", b"S", b"i") or body.startswith((b"vCont;s", b"vCont;S", b"vCont;r"))


_SIGNAL = re.compile(rb";([CS])[0-9a-fA-F]{2}(?=[:;]|$)")


def without_signals(body: bytes) -> bytes:
    """Return a `vCont` whose actions are the same but for the signals that they would deliver; any other body as it is."""
    return _SIGNAL.sub(lambda found: b";" + found[1].lower(), body) if body.startswith(b"vCont;") else body
