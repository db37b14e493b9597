"""Breakpoint opcodes in RAM that a backend has left there: what they look like, and how the original bytes come back."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .replay import Part
    from .shadow import Shadow

_TRAPS = (
    (2, 1, b"\xbe"),  # Thumb BKPT #n: low byte free (OpenOCD writes 0xbe11)
    (4, 0, b"\x73\x00\x10\x00"),  # RISC-V EBREAK
    (2, 0, b"\x02\x90"),  # RISC-V C.EBREAK
)


def is_trap(code: bytes) -> bool:
    """Tell whether bytes are a breakpoint opcode that OpenOCD puts into RAM; ARM's `BKPT #n` in 32 bit included."""
    if len(code) == 4 and code[2:] == b"\x20\xe1" and code[0] & 0xF0 == 0x70:
        return True
    return any(len(code) == size and code[at : at + len(mark)] == mark for size, at, mark in _TRAPS)


def heal_ram(shadow: Shadow) -> Part:
    """Write the original bytes back where a breakpoint opcode was left in RAM; anything else there is left alone."""
    for point, under in list(shadow.under.items()):
        found = (yield b"m%x,%x" % (point.address, len(under))).body
        try:
            code = bytes.fromhex(found.decode("ascii"))
        except (UnicodeDecodeError, ValueError):
            continue
        if code != under and is_trap(code):
            yield b"M%x,%x:%b" % (point.address, len(under), under.hex().encode("ascii"))
        if point not in shadow.points:
            del shadow.under[point]
