"""Requests that would make OpenOCD end the connection, crash or over-read: they are answered here.

Seen with OpenOCD 0.12 and read in its gdb_server.c. These end the connection: an unknown register number in `p`/`P`, a `P` of
another size than its register, a break- or watchpoint type above 4, any malformed packet, one that is longer than its buffer.
These kill the process (SIGSEGV, or a broken heap): `vFlashDone` without an image, a piece of a description or list that begins
behind its end or is asked for with a length near 4 GiB, a `G` shorter than all registers, and with an RTOS a `qSymbol` with one
colon. `X` with less data than announced reads past it.

An empty packet, and with SMP a `j` or `J` that it does not know (0.12 smp.c), get no answer at all: every later answer would be
taken for that of the request before.

What passes is what OpenOCD reads. It undoes `}` in every packet, not only in binary data, and even before the `#` that ends one
(fetch_packet, 0.10 to master): `}QRcmd,` is a `qRcmd,`, and a packet with a `}` at its end swallows the one behind it. It also
knows words by their beginning alone (`strncmp(packet, "vFlashDone", 10)`). So `}` passes only as half of a pair in the data of
`X` and `vFlashWrite`, and a word is looked up by its beginning here too.
"""

import re
from collections.abc import Mapping
from typing import NamedTuple, Protocol

from .packets import EMPTY

ERROR = b"E01"
FLASH_ERROR = b"E05"  # what OpenOCD itself answers when a flash operation fails
_LONGEST_READ = 1 << 20  # bytes; OpenOCD allocates what is asked for
_THREADS = b"qXfer:threads:"

_HEX = rb"[0-9a-fA-F]"
# What a well-formed request looks like; requests without a row here have no form that OpenOCD minds.
_FORMS = {
    b"m": re.compile(rb"m" + _HEX + rb"{1,16},(" + _HEX + rb"{1,8})"),
    b"M": re.compile(rb"M" + _HEX + rb"{1,16},(" + _HEX + rb"{1,8}):((?:" + _HEX + rb"{2})*)"),
    b"X": re.compile(rb"X" + _HEX + rb"{1,16},(" + _HEX + rb"{1,8}):(.*)", re.DOTALL),  # its `}`: see `_escapes`
    b"p": re.compile(rb"p(" + _HEX + rb"{1,8})"),
    b"P": re.compile(rb"P(" + _HEX + rb"{1,8})=((?:" + _HEX + rb"{2})+)"),
    b"G": re.compile(rb"G((?:" + _HEX + rb"{2})+)"),
    b"Z": re.compile(rb"[Zz]([0-9]+)," + _HEX + rb"{1,16}," + _HEX + rb"{1,8}(?:;[^}]*)?"),
    b"c": re.compile(rb"[cs]" + _HEX + rb"{0,16}"),
    b"vCont": re.compile(rb"vCont(?:\?|;[cCsSrt][^}]*)"),
    b"vRun": re.compile(rb"vRun(?:;[^}]*)?"),
    b"vFlashErase": re.compile(rb"vFlashErase:" + _HEX + rb"{1,16}," + _HEX + rb"{1,8}"),
    b"vFlashWrite": re.compile(rb"vFlashWrite:" + _HEX + rb"{1,16}:(.*)", re.DOTALL),
    b"vFlashDone": re.compile(rb"vFlashDone"),
    b"j": re.compile(rb"jc"),
    b"J": re.compile(rb"Jc" + _HEX + rb"{1,8}"),
    b"qCRC": re.compile(rb"qCRC:" + _HEX + rb"{1,16}," + _HEX + rb"{1,8}"),
    b"qRcmd": re.compile(rb"qRcmd,(?:" + _HEX + rb"{2})*"),
    b"QStartNoAckMode": re.compile(rb"QStartNoAckMode"),
    b"qSymbol": re.compile(rb"qSymbol:" + _HEX + rb"{0,16}:(?:" + _HEX + rb"{2})*"),
    b"qXfer": re.compile(rb"(qXfer:[\w-]+:read:[^:}]*):(" + _HEX + rb"{1,8}),(" + _HEX + rb"{1,8})"),
}
_FORMS |= {b"z": _FORMS[b"Z"], b"s": _FORMS[b"c"]}
_WORD = re.compile(rb"(?:v(?:Cont|Run|Flash(?:Erase|Write|Done))|q(?:Xfer|Rcmd|CRC|Symbol)|QStartNoAckMode)")
_UNKNOWN_OTHERWISE = (b"vCont", b"j", b"J")  # as OpenOCD itself: no reply may be taken for that of a later request
# Registers that GDB numbers even when it was given no description (16 core, 8 + 1 FPA, CPSR: GDB 13 arm-tdep.h).
_HIGHEST_UNDESCRIBED = 25


class Target(Protocol):
    """What backends have said about their target."""

    sizes: dict[int, int]  # register number -> digits of its value; empty: there was no description
    registers: int  # digits of a `g` reply; 0: none was seen yet
    ends: dict[bytes, int]  # a `qXfer` up to its annex -> how many bytes of that object have been seen


class Limits(NamedTuple):
    """What the backend has said about its target, its largest packet (bytes), and what it holds of this very connection.

    `image`: a flash image. `listed`: how far the list of threads has been read, in bytes, when there is more of it.
    """

    target: Target
    packet: int
    image: bool = False
    listed: int = 0


def refusal(body: bytes, limits: Limits) -> bytes | None:
    """Return the answer to a request that must not reach OpenOCD; None when it may."""
    if len(body) > limits.packet:
        return ERROR
    key = body[:1]
    if key in b"vqQ":
        word = _WORD.match(body)
        key = word[0] if word else body
    form = _FORMS.get(key)
    if form is None:  # GDB may send escaped data to ask for what OpenOCD does not know (`qSearch:memory:`)
        return EMPTY if b"}" in body or not body else None
    found = form.fullmatch(body)
    if found is None:
        return EMPTY if key in _UNKNOWN_OTHERWISE else ERROR
    return _limit(key, found, limits)


def _limit(key: bytes, found: re.Match[bytes], limits: Limits) -> bytes | None:
    match key:
        case b"m":
            return ERROR if int(found[1], 16) > _LONGEST_READ else None
        case b"Z" | b"z":
            return EMPTY if int(found[1]) > 4 else None
        case b"p" | b"P":
            return None if _has_register(int(found[1], 16), found, limits.target.sizes) else ERROR
        case b"G":
            return None if found.end(1) - 1 == limits.target.registers else ERROR
        case b"qXfer":
            begun = limits.listed if found.string.startswith(_THREADS) else limits.target.ends.get(found[1], 0)
            return ERROR if int(found[2], 16) > begun or int(found[3], 16) > _LONGEST_READ else None
        case b"M":
            return None if found.end(2) - found.start(2) == 2 * int(found[1], 16) else ERROR
        case b"X":
            at, end = found.span(2)
            escapes = _escapes(found.string, at)
            return None if escapes >= 0 and end - at - escapes == int(found[1], 16) else ERROR
        case b"vFlashWrite":
            return ERROR if _escapes(found.string, found.start(1)) < 0 else None
        case b"vFlashDone":
            return None if limits.image else FLASH_ERROR
        case _:
            return None


def _has_register(number: int, found: re.Match[bytes], sizes: Mapping[int, int]) -> bool:
    """Tell whether there is such a register, and a value that is to be written fits it; what was not described is believed."""
    digits = len(found[2]) if found.lastindex == 2 else 0
    if sizes:
        return number in sizes and digits in (0, sizes[number])
    return number <= _HIGHEST_UNDESCRIBED and digits % 8 == 0


def _escapes(body: bytes, at: int) -> int:
    """Return how many escaped bytes are in the binary data from `at` on; -1 when a `}` there is not the first half of a pair.

    `}}` would be a pair, for a byte that nobody has to escape.
    """
    count = body.count(b"}", at)
    return -1 if count and (body[-1:] == b"}" or b"}}" in body) else count


_REG = re.compile(rb"<reg\s([^>]*)>")
_ATTRIBUTE = re.compile(rb"""\b(regnum|bitsize)\s*=\s*["'](\d{1,9})["']""")


def register_sizes(description: bytes) -> dict[int, int]:
    """Return the registers of a target description (GDB manual G.2.7): number -> hex digits of its value."""
    sizes: dict[int, int] = {}
    number = -1
    for register in _REG.finditer(description):
        given = {name: int(value) for name, value in _ATTRIBUTE.findall(register[1])}
        number = given.get(b"regnum", number + 1)
        sizes[number] = (given.get(b"bitsize", 32) + 7) // 8 * 2
    return sizes


# The first words of other protocols that land on a debug port: web pages, port scanners, TLS and SSH clients.
_FOREIGN = (
    (re.compile(rb"[A-Z]{3,10} \S*"), "an HTTP client"),
    (re.compile(rb"\x16"), "a TLS client"),
    (re.compile(rb"SSH"), "an SSH client"),
    (re.compile(rb"\xff[\xf0-\xff]"), "a telnet client"),
)


def foreign_greeting(junk: bytes) -> str | None:
    """Return who says such first bytes instead of GDB; None when it cannot be told."""
    return next((who for form, who in _FOREIGN if form.match(junk)), None)
