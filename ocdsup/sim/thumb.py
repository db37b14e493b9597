"""What must be known of Thumb-2 to step through IT blocks (ARMv7-M ARM A5.1, A7.3)."""

from __future__ import annotations

WFI = b"\x30\xbf"
HINTS = (b"\x10\xbf", b"\x20\xbf")  # YIELD, WFE
_IT_BITS = 0x0600FC00  # where xPSR keeps the IT state: bits 26:25 and 15:10


def size(code: bytes) -> int:
    """Return the size of an instruction from its first halfword: 2 or 4 bytes."""
    return 4 if code[1] >> 3 in (0b11101, 0b11110, 0b11111) else 2


def begins_it(code: bytes) -> bool:
    """Return whether a halfword is an IT instruction."""
    return code[1] == 0xBF and bool(code[0] & 0xF)


def it_state(xpsr: int) -> int:
    """Return the 8-bit IT state of a program status word; its low 4 bits are 0 outside IT blocks."""
    return (xpsr >> 25 & 3) | (xpsr >> 10 & 0x3F) << 2


def with_it(xpsr: int, it: int) -> int:
    """Return the program status word with another IT state."""
    return xpsr & ~_IT_BITS | (it & 3) << 25 | (it >> 2) << 10


def advance(it: int) -> int:
    """Return the IT state behind one instruction of the block (ARMv7-M ARM A7.3.3, ITAdvance)."""
    return 0 if it & 7 == 0 else it & 0xE0 | it << 1 & 0x1F


def holds(condition: int, xpsr: int) -> bool:
    """Return whether a 4-bit condition holds for the flags N, Z, C, V in bits 31..28."""
    n, z, c, v = (bool(xpsr >> bit & 1) for bit in (31, 30, 29, 28))
    base = (z, c, n, v, c and not z, n == v, n == v and not z, True)[condition >> 1]
    return base if condition == 15 or not condition & 1 else not base
