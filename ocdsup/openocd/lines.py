"""From the bytes of OpenOCD's pty to lines: any chunking, any junk, bounded memory, and debug lines almost for free.

OpenOCD writes one whole line per fprintf and the terminal ends it with CR LF (src/helper/log.c, log_puts). At `-d3` nearly
every line is `Debug: …`; those are counted and kept raw, never decoded, unless somebody asks for them.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum

KEEP = 4097  # bytes kept of one line (4 KiB and its CR); OpenOCD's own lines are below 1 KiB
_TAIL = 64 * 1024  # raw bytes remembered for `recent`: some 500 debug lines
_DEBUG = b"Debug:"


class Level(Enum):
    """Severity of a line. USER has no prefix at the normal log level (log.c, log_strings)."""

    USER = "user"
    ERROR = "error"
    WARN = "warn"
    INFO = "info"
    DEBUG = "debug"


@dataclass(frozen=True, slots=True)
class Line:
    """One line: `text` is printable, single-line, without prefix; `truncated` when its end was cut off."""

    level: Level
    text: str
    truncated: bool = False


_LEVELS = {
    "User ": Level.USER,
    "Error": Level.ERROR,
    "Warn ": Level.WARN,
    "Info ": Level.INFO,
    "Debug": Level.DEBUG,
}
# At -d3 every line carries `<count> <ms since start> <file>:<line> <func>(): ` after the level (log.c 0.12:95-113).
_PREFIX = re.compile(
    r"(User |Error|Warn |Info |Debug): ?(?:\d{1,12} \d{1,12} [^ :]{1,80}:\d{1,7} [^ ()]{1,80}\(\)(?: \d{1,12})?: ?)?"
)
# ECMA-48 control sequences, operating system commands (window titles), and two-character escapes.
_ANSI = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|.|$)", re.DOTALL)


def _rub_out(text: str) -> str:
    """Let every backspace erase the character before it, as OpenOCD's telnet line editor means it."""
    kept: list[str] = []
    for char in text:
        if char != "\b":
            kept.append(char)
        elif kept:
            kept.pop()
    return "".join(kept)


def _visible(char: str) -> str:
    if char.isprintable():
        return char
    return " " if char.isspace() else ""


def clean(text: str) -> str:
    """Make foreign text safe to show on one line: no control, escape, format or line-breaking character is left."""
    if text.isprintable():
        return text
    if "\x1b" in text:
        text = _ANSI.sub("", text)
    if "\b" in text:
        text = _rub_out(text)
    return "".join(map(_visible, text))


def parse_line(raw: bytes, truncated: bool = False) -> Line:
    """Decode one line without its line end: level from the prefix, the rest cleaned. Never raises."""
    text = clean(raw[:KEEP].decode("utf-8", "replace"))
    truncated = truncated or len(raw) > KEEP
    found = _PREFIX.match(text)
    if found is None:
        return Line(Level.USER, text.rstrip(), truncated)
    return Line(_LEVELS[found[1]], text[found.end() :].rstrip(), truncated)


class LineSplitter:
    """Turns chunks of pty output into lines; how the bytes were chunked never changes the result.

    `needles` are byte strings that make a debug line worth decoding (the catalogue's `debug` literals); every other debug
    line is only counted in `debug_lines`. `dropped` counts bytes cut from over-long lines.
    """

    def __init__(self, needles: tuple[bytes, ...] = (), want_debug: bool = False) -> None:
        self.debug_lines = 0
        self.dropped = 0
        self._needles = needles
        self._want_debug = want_debug
        self._partial = b""
        self._overflow = 0
        self._tail = bytearray()

    def feed(self, data: bytes) -> list[Line]:
        """Take the next bytes; return the lines that they completed."""
        self._remember(data)
        lines: list[Line] = []
        end = data.rfind(b"\n") + 1
        start = 0
        if end and (self._partial or self._overflow):
            start = data.find(b"\n") + 1
            self._hold(data[: start - 1])
            lines = self._release()
        if start < end:
            self._block(data[start:end], lines)
        if end < len(data):
            self._hold(data[end:])
        return lines

    def flush(self) -> list[Line]:
        """Give out an unfinished line: at the end of the process, or when a prompt should be shown."""
        return self._release() if self._partial else []

    def recent(self, count: int) -> list[Line]:
        """The newest `count` complete lines, debug lines included, decoded only now (at most 64 to 128 KiB back)."""
        raws = bytes(self._tail).split(b"\n")[:-1]
        return [parse_line(raw) for raw in raws[-count:]] if count > 0 else []

    def _remember(self, data: bytes) -> None:
        self._tail += data[-_TAIL:]
        if len(self._tail) > 2 * _TAIL:  # cut seldom and by halves: a move of bytes each time would cost more than the split
            del self._tail[:-_TAIL]

    def _hold(self, data: bytes) -> None:
        room = KEEP - len(self._partial)
        self._partial += data[:room]
        self._overflow += max(0, len(data) - room)

    def _release(self) -> list[Line]:
        raw, overflow = self._partial, self._overflow
        self._partial, self._overflow = b"", 0
        lines: list[Line] = []
        self._one(raw, overflow, lines)
        return lines

    def _block(self, block: bytes, lines: list[Line]) -> None:
        """Complete lines at once. Two C scans settle a block of nothing but debug lines, the usual case at -d3."""
        count = block.count(b"\n")
        if block.startswith(_DEBUG) and block.count(b"\nDebug:") == count - 1 and not self._interesting(block):
            self.debug_lines += count
            return
        for raw in block.split(b"\n")[:-1]:
            self._one(raw, 0, lines)

    def _interesting(self, raw: bytes) -> bool:
        return self._want_debug or any(needle in raw for needle in self._needles)

    def _one(self, raw: bytes, overflow: int, lines: list[Line]) -> None:
        kept = raw[:KEEP]
        if kept.startswith(_DEBUG) and not self._interesting(kept):
            self.debug_lines += 1
            return
        overflow += len(raw) - len(kept)
        self.dropped += overflow
        # A lone CR overwrites or ends a line on a terminal (progress bars, telnet prompts): what it separates are lines.
        pieces = kept.rstrip(b"\r").split(b"\r")
        visible = [piece for piece in pieces if piece.strip(b"\0")] or [b""]
        for index, piece in enumerate(visible):
            self._emit(parse_line(piece, bool(overflow) and index == len(visible) - 1), lines)

    def _emit(self, line: Line, lines: list[Line]) -> None:
        if line.level is Level.DEBUG and not self._interesting(line.text.encode("utf-8", "replace")):
            self.debug_lines += 1
        else:
            lines.append(line)
