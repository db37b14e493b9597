"""Why a core stands that GDB believes to run: a new OpenOCD knows little of what happened before it, but the core shows where.

What `?` says of a core that the new process found halted: S05 under HLA and S00 with dap-direct (0.12), whatever had halted it.
"""

from __future__ import annotations

import re
from collections.abc import Generator
from typing import TYPE_CHECKING

from .packets import hex_bytes, is_error, monitor_request
from .shadow import Shadow, stepping

if TYPE_CHECKING:
    from .replay import Asking, Heard

TRAPPED = b"T05"
INTERRUPTED = b"T02"
_PC = re.compile(rb'<reg\s[^>]*\bname="pc"[^>]*>')
_NUMBER = re.compile(rb'\bregnum="(\d+)"')
_SEMIHOSTING = b"\xab\xbe"  # Thumb BKPT 0xAB, little-endian
_UNTOLD, _ATTACH = (b"S00", b"T00"), (b"S02", b"T02")


def reason(shadow: Shadow, said: bytes, *, interrupted: bool) -> Generator[bytes, Heard, bytes | None]:
    """Return the stop that GDB is owed for a core that stands; None when it has to run on. `said` is the reply to `?`."""
    if stepping(shadow):
        return TRAPPED  # the step may or may not have been made: GDB looks at the PC and goes on from there
    pc = yield from _pc(shadow)
    if pc is not None and _at_point(shadow, pc):
        return TRAPPED
    if shadow.paused or said.startswith(_ATTACH):
        return None  # it was halted by us, or by the attach
    if interrupted:
        return INTERRUPTED
    if pc is not None and (yield from _asks_its_host(pc)):
        return None  # it executes the request again, and is served
    return TRAPPED


def true_stop(shadow: Shadow, held: bytes) -> Generator[bytes, Heard, bytes]:
    """Return what a stop without a reason has to be, of a core that does stand: at a breakpoint it has hit it."""
    if not held.startswith(_UNTOLD):
        return held
    pc = yield from _pc(shadow)
    return b"T05" + held[3:] if pc is not None and _at_point(shadow, pc) else held


def _pc(shadow: Shadow) -> Generator[bytes, Heard, int | None]:
    found = _PC.search(b"".join(shadow.learned.description.values()))
    number = _NUMBER.search(found[0]) if found else None
    if number is None:
        return None
    reply = (yield b"p%x" % int(number[1])).body
    value = b"" if is_error(reply) else hex_bytes(reply)
    return int.from_bytes(value, "little") if value else None


def _at_point(shadow: Shadow, pc: int) -> bool:
    return any(point.type < 2 and point.address == pc for point in shadow.points)


def _asks_its_host(pc: int) -> Asking:
    """Tell whether the core stands at a semihosting request, and OpenOCD serves those."""
    if hex_bytes((yield b"m%x,2" % pc).body) != _SEMIHOSTING:
        return False
    return "is enabled" in (yield monitor_request("arm semihosting")).text
