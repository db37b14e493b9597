"""Bytes of a client in line mode → lines, with the few editing keys that raw clients send; and bytes → safe output."""

import re
from dataclasses import dataclass
from typing import TypeAlias

LINE_LIMIT = 4096  # bytes; a longer line is refused as a whole, never cut

_UNSAFE = re.compile(rb"[^\x20-\x7e\t]")
_ESCAPE_SEQUENCE = re.compile(rb"\x1b(\[[\x20-\x3f]{0,32}[\x40-\x7e]|[ON][\x40-\x7e]|[^\[ON]|$|(?=\[|[ON]))")


@dataclass(frozen=True, slots=True)
class Line:
    """A finished line without its end."""

    data: bytes


@dataclass(frozen=True, slots=True)
class TooLong:
    """A line of more than `LINE_LIMIT` bytes ended; nothing of it was kept."""

    size: int


@dataclass(frozen=True, slots=True)
class Interrupted:
    """^C: the line so far was dropped."""


@dataclass(frozen=True, slots=True)
class Ended:
    """^D on an empty line."""


Typed: TypeAlias = Line | TooLong | Interrupted | Ended

_PIECES = re.compile(rb"[\r\n\x00\x08\x7f\x15\x03\x04]|[^\r\n\x00\x08\x7f\x15\x03\x04]+")


class LineEditor:
    """Collects lines ended by CR LF, CR NUL, LF or a lone CR; `feed` may be called with any chunking."""

    def __init__(self) -> None:
        self._line = bytearray()
        self._dropped = 0  # bytes of a line that is too long
        self._after_cr = False

    def feed(self, data: bytes) -> list[Typed]:
        """Return what was finished, in order."""
        typed: list[Typed] = []
        for piece in _PIECES.findall(data):
            after_cr, self._after_cr = self._after_cr, piece == b"\r"
            match piece:
                case b"\n" | b"\x00" if after_cr:
                    pass  # the second half of a line end
                case b"\r" | b"\n":
                    typed.append(self._finish())
                case b"\x08" | b"\x7f":
                    del self._line[-1:]
                case b"\x15":
                    self._clear()
                case b"\x03":
                    self._clear()
                    typed.append(Interrupted())
                case b"\x04" if not self._line:
                    typed.append(Ended())
                case b"\x04" | b"\x00":
                    pass
                case text:
                    self._add(text)
        return typed

    @property
    def partial(self) -> bytes:
        """The line that is being typed."""
        return bytes(self._line)

    def _add(self, text: bytes) -> None:
        if self._dropped or len(self._line) + len(text) > LINE_LIMIT:
            self._dropped += len(text) + len(self._line)
            self._line.clear()
        else:
            self._line += text

    def _finish(self) -> Line | TooLong:
        result = TooLong(self._dropped) if self._dropped else Line(_ESCAPE_SEQUENCE.sub(b"", bytes(self._line)))
        self._clear()
        return result

    def _clear(self) -> None:
        self._line.clear()
        self._dropped = 0


def printable(data: bytes) -> bytes:
    r"""Return `data` with everything but printable ASCII and tab written as `\xNN`: no byte can steer a terminal."""
    return _UNSAFE.sub(lambda found: b"\\x%02x" % found[0][0], data)
