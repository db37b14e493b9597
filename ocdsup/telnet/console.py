r"""The client side of OpenOCD's own telnet console: its screen output → lines and "ready for the next command".

What OpenOCD's telnet_server.c does (0.10 … master, seen on the wire with 0.12.0): it echoes every character of a command, ends
the echo with `\r\n\x00`, prints output lines ended `\r\n`, then the prompt as `\r> `. A log line that comes while the prompt
shows is printed over it: n times `\b`, n spaces, n times `\b`, the line, `\r\n`, then `> ` and the input so far once more.
The NUL occurs nowhere else, because console output is made of C strings: it marks the end of our echo without guessing.
"""

import re
from dataclasses import dataclass
from enum import Enum, auto
from typing import TypeAlias

PARTIAL_LIMIT = 65536  # bytes of one output line, then it is passed on in parts
PROMPT = b"> "

_PIECES = re.compile(rb"[\b\r\n\x00\x07]|[^\b\r\n\x00\x07]+")


@dataclass(frozen=True, slots=True)
class Output:
    """One line that OpenOCD printed: an answer, or a log line between two commands."""

    line: bytes


@dataclass(frozen=True, slots=True)
class Ready:
    """The prompt: the command is done (or the console has just opened)."""


Seen: TypeAlias = Output | Ready


class At(Enum):
    """Where the dialogue stands."""

    GREETING = auto()
    IDLE = auto()
    SENT = auto()  # a command is on its way, its echo has not ended
    RUNNING = auto()  # the echo has ended, output follows


class Console:
    """One connection to OpenOCD's telnet port; `feed` may be called with any chunking."""

    def __init__(self) -> None:
        self.at = At.GREETING
        self.command = ""  # the last one that was sent
        self._line = bytearray()
        self._cursor = 0
        self._cr = False  # a CR came, LF may follow
        self._bare_cr = False  # the line began after a CR without LF: a prompt or a redraw
        self._held: bytes | None = None  # in SENT: a finished line, which is our echo if NUL comes next

    def send(self, command: bytes) -> bytes:
        """Return the bytes that enter `command` (printable ASCII, one line); allowed only when idle."""
        assert self.at is At.IDLE
        self.at = At.SENT
        self.command = command.decode("ascii")
        return command + b"\n"

    def feed(self, data: bytes) -> list[Seen]:
        """Return the lines and prompts in `data`."""
        seen: list[Seen] = []
        for piece in _PIECES.findall(data):
            self._piece(piece, seen)
        return seen

    def _piece(self, piece: bytes, seen: list[Seen]) -> None:
        if self._held is not None:
            self._settle(piece, seen)
        cr, self._cr = self._cr, piece == b"\r"
        match piece:
            case b"\r" | b"\x00" | b"\x07":
                pass
            case b"\n":
                self._end_line(seen)
            case _ if cr:
                self._restart(seen)
                self._write(piece, seen)
            case _:
                self._write(piece, seen)

    def _settle(self, piece: bytes, seen: list[Seen]) -> None:
        """Decide what the finished line was: our echo, or a log line that came before it."""
        assert self._held is not None
        if piece == b"\x00":
            self.at = At.RUNNING
        else:
            seen.append(Output(self._held))
        self._held = None

    def _end_line(self, seen: list[Seen]) -> None:
        line = bytes(self._line[: self._cursor])  # what lies behind the cursor are spaces of the wiping
        self._clear(bare_cr=False)
        if self.at is At.SENT:
            self._held = line
        elif self.at is not At.GREETING:
            seen.append(Output(line))

    def _restart(self, seen: list[Seen]) -> None:
        """A CR without LF: what an answer has printed so far is kept as a line, a prompt is about to be redrawn."""
        if self.at is At.RUNNING and self._line:
            seen.append(Output(bytes(self._line[: self._cursor])))
        self._clear(bare_cr=True)

    def _write(self, piece: bytes, seen: list[Seen]) -> None:
        if piece == b"\b":
            self._cursor = max(0, self._cursor - 1)
            return
        if self._bare_cr and self.at in {At.RUNNING, At.GREETING}:
            self._prompt(piece, seen)
        self._line[self._cursor : self._cursor + len(piece)] = piece
        self._cursor += len(piece)
        if len(self._line) > PARTIAL_LIMIT and self.at is At.RUNNING:
            seen.append(Output(bytes(self._line)))
            self._clear(bare_cr=False)

    def _prompt(self, piece: bytes, seen: list[Seen]) -> None:
        """See the prompt at the beginning of a line. It stays in the line, as on a screen: a log line will wipe it."""
        if (bytes(self._line) + piece).startswith(PROMPT):
            self.at = At.IDLE
            seen.append(Ready())

    def _clear(self, *, bare_cr: bool) -> None:
        self._line.clear()
        self._cursor = 0
        self._bare_cr = bare_cr
