"""Answers that cannot have changed since the backend gave them: given again here, without a round trip. Optional.

What is kept, and until when:
- features, memory map and the like: until the backend changes or is given a command line;
- the thread list of a target without an RTOS (an empty one): the same; any other list: until the target runs;
- registers, and memory that the memory map calls flash or ROM: until the target runs or anything is written.
RAM and peripherals are never kept (DMA and timers go on while the core stands).

GDB takes out every breakpoint at a stop and puts it in again before the next resume (`breakpoint always-inserted off`). A `z`
of a hardware point is therefore put off: when the same `Z` follows, neither is sent. Software breakpoints are never put off,
because their opcode can be seen in memory.
"""

import re
from dataclasses import dataclass, field

from .learned import lasting
from .packets import Group, Point, Row, is_error, point_of, span_of
from .shadow import Shadow

_REGION = re.compile(rb"<memory\s([^>]*)>")
_ATTRIBUTE = re.compile(rb"""(type|start|length)\s*=\s*["']([^"']*)["']""")
_SYSTEM_SPACE = 0xE000_0000  # Cortex-M: the breakpoint comparators themselves can be read here
_KEPT_PER_STOP = 512  # answers; GDB reads a few dozen per stop


@dataclass(slots=True)
class Answers:
    """The answers kept for one session on one backend, and the points whose removal was put off."""

    enabled: bool = False
    steady: dict[bytes, bytes] = field(default_factory=dict)  # until the backend or its configuration changes
    stop: dict[bytes, bytes] = field(default_factory=dict)  # until the target runs or is written to
    removed: dict[Point, None] = field(default_factory=dict)  # GDB believes them gone, the backend still has them
    flash: list[range] = field(default_factory=list)

    def known(self, row: Row, body: bytes) -> bytes | None:
        """Return the answer that still holds; None when the backend must be asked."""
        if not self.enabled:
            return None
        return self.stop.get(body) or self.steady.get(body)

    def put_off(self, row: Row, body: bytes, shadow: Shadow) -> bool:
        """Take a `z` or `Z` that need not be sent now; tell whether it was taken (GDB is then answered `OK`)."""
        if not self.enabled or row.group is not Group.POINT or shadow.running:
            return False
        point = point_of(body)
        if point is None or point.type == 0 or b";" in body:
            return False
        if row.name == "Z":
            return self.removed.pop(point, self) is None
        if point not in shadow.points:
            return False
        self.removed[point] = None
        return True

    def before(self, row: Row, body: bytes) -> list[bytes]:
        """Forget what a request may change, at the moment it is sent; return the `z` bodies that must go before it."""
        if not self.enabled:
            return []
        self._forget(row)
        if not self.removed or not self._reveals(row, body):
            return []
        return self.take_removed()

    def take_removed(self) -> list[bytes]:
        """Return the `z` bodies of all points whose removal was put off, and forget them."""
        bodies = [b"z" + point.body for point in self.removed]
        self.removed.clear()
        return bodies

    def note(self, row: Row, body: bytes, reply: bytes) -> None:
        """Keep a reply if it belongs to one of the kinds above."""
        if not self.enabled or not reply or is_error(reply):
            return
        if lasting(row, body):
            self.steady[body] = reply
            if body.startswith(b"qXfer:memory-map:"):
                self.flash += _fixed_regions(reply)
        elif body.startswith(b"qXfer:threads:"):
            (self.stop if b"<thread " in reply else self.steady)[body] = reply
        elif self._holds_while_halted(row, body) and len(self.stop) < _KEPT_PER_STOP:
            self.stop[body] = reply

    def stopped(self, reply: bytes) -> None:
        """Forget what a stop may change: an RTOS has appeared when the stop names a thread."""
        self.stop.clear()
        if b"thread:" in reply:
            self._forget_threads()

    def clear(self) -> None:
        """Forget everything: another backend, or somebody else has touched the target."""
        self.steady.clear()
        self.stop.clear()
        self.flash.clear()

    def _forget(self, row: Row) -> None:
        match row.group:
            case Group.READ | Group.QUERY:
                return
            case Group.MONITOR | Group.FLASH | Group.OTHER:
                self.clear()
            case Group.SESSION:
                self.stop.clear()
                self._forget_threads()
            case _:
                self.stop.clear()

    def _forget_threads(self) -> None:
        for body in [body for body in self.steady if body.startswith(b"qXfer:threads:")]:
            del self.steady[body]

    def _reveals(self, row: Row, body: bytes) -> bool:
        """Tell whether a request would act upon, or show, a point that GDB believes gone."""
        match row.group:
            case Group.QUERY | Group.REGISTER:
                return False
            case Group.READ | Group.MEMORY:
                span = span_of(body)
                return span is not None and span[0] + span[1] > _SYSTEM_SPACE
            case _:
                return row.name != "H"

    def _holds_while_halted(self, row: Row, body: bytes) -> bool:
        if row.name in ("g", "p"):
            return True
        span = span_of(body) if row.name in ("m", "x") else None
        return span is not None and span[1] > 0 and any(span[0] in r and span[0] + span[1] - 1 in r for r in self.flash)


def _fixed_regions(reply: bytes) -> list[range]:
    """Return the address ranges that a memory map (GDB manual, "Memory Map Format") calls flash or ROM."""
    regions = []
    for found in _REGION.finditer(reply):
        given = dict(_ATTRIBUTE.findall(found[1]))
        try:
            start, length = int(given[b"start"], 0), int(given[b"length"], 0)
        except (KeyError, ValueError):
            continue
        if given.get(b"type") in (b"flash", b"rom"):
            regions.append(range(start, start + length))
    return regions
