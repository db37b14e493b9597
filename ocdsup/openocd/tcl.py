"""Tcl words, lists, and OpenOCD's Tcl RPC: a command and a 0x1A go in, a result and a 0x1A come out (tcl_server.c).

The protocol has no error flag: an error is just its message. `wrap` makes the difference visible.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from ocdsup.errors import ProtocolError

END = b"\x1a"
LONGEST = 1024 * 1024  # bytes of one answer; a legal one is far shorter, a longer one means that the framing is lost
_PLAIN = re.compile(r"[A-Za-z0-9_./:@%+=,-]+")
_ESCAPES = {"\n": "\\n", "\r": "\\r", "\t": "\\t", "\v": "\\v", "\f": "\\f", "\b": "\\b", "\a": "\\a"}
_UNESCAPES = {"n": "\n", "r": "\r", "t": "\t", "v": "\v", "f": "\f", "b": "\b", "a": "\a"}


def tcl_quote(text: str) -> str:
    """One Tcl word that evaluates to exactly `text`: no command, variable, brace or separator in it is ever evaluated.

    Raises ValueError for NUL and 0x1A, which neither argv nor the RPC framing can carry.
    """
    if "\0" in text or "\x1a" in text:
        raise ValueError("a Tcl word cannot carry NUL or 0x1A")
    if _PLAIN.fullmatch(text):
        return text
    return '"' + "".join(_ESCAPES.get(char, "\\" + char if char in '"\\$[]{};#' else char) for char in text) + '"'


def tcl_list(words: Iterable[str]) -> str:
    """A Tcl list of the words, usable as a command or inside one."""
    return " ".join(map(tcl_quote, words))


def _word_end(text: str, at: int) -> int:
    while at < len(text) and not text[at].isspace():
        at += 2 if text[at] == "\\" else 1
    return min(at, len(text))


def _braced(text: str, at: int) -> tuple[str, int]:
    depth, start = 1, at + 1
    at = start
    while at < len(text):
        char = text[at]
        depth += (char == "{") - (char == "}")
        if not depth:
            return text[start:at], at + 1
        at += 2 if char == "\\" else 1
    raise ProtocolError("read a Tcl list", "a brace is not closed")


def _quoted(text: str, at: int) -> tuple[str, int]:
    start = at + 1
    at = start
    while at < len(text):
        if text[at] == '"':
            return unescape(text[start:at]), at + 1
        at += 2 if text[at] == "\\" else 1
    raise ProtocolError("read a Tcl list", "a quote is not closed")


def unescape(text: str) -> str:
    """Resolve the backslash escapes of a bare or quoted Tcl word."""
    if "\\" not in text:
        return text
    return re.sub(r"\\(.)", lambda found: _UNESCAPES.get(found[1], found[1]), text, flags=re.DOTALL)


def parse_list(text: str) -> list[str]:
    """Split a Tcl list into its words. Raises ProtocolError when braces or quotes do not close."""
    words: list[str] = []
    at = 0
    while True:
        while at < len(text) and text[at].isspace():
            at += 1
        if at >= len(text):
            return words
        if text[at] == "{":
            word, at = _braced(text, at)
        elif text[at] == '"':
            word, at = _quoted(text, at)
        else:
            end = _word_end(text, at)
            word, at = unescape(text[at:end]), end
        words.append(word)


@dataclass(frozen=True, slots=True)
class Reply:
    """The outcome of a wrapped command: `ok`, and its result or error message."""

    ok: bool
    text: str


@dataclass(frozen=True, slots=True)
class Guarded:
    """The outcome of a guarded command: its result or error message, and what was logged and echoed meanwhile.

    `ended` is the exit code OpenOCD would have ended with, None if it goes on.
    """

    ok: bool
    text: str
    log: str
    ended: int | None


def wrap_script(command: str) -> str:
    """The Tcl that runs `command` and answers a list of its return code and its result."""
    return f"list [catch {{{_balanced(command)}}} _ocdsup_r] $_ocdsup_r"


# `shutdown` answers as OpenOCD's own does: it breaks off whatever calls it with a code of its own (-600 in 0.12, command.c),
# which `catch` may hold up; the end of OpenOCD comes either way. `exit` breaks off, and ends nothing if it is caught.
_GUARD = (
    "set ::_ocdsup_over {}; catch {rename shutdown _ocdsup_shutdown}; "
    "proc shutdown {args} {set ::_ocdsup_over [list shutdown {*}$args]; return -code -600}; "
    "set _ocdsup_l [capture {set _ocdsup_c [catch -exit {%s} _ocdsup_g]; list}]; "
    "catch {rename shutdown {}}; catch {rename _ocdsup_shutdown shutdown}; "
    "list $_ocdsup_c $_ocdsup_g $::_ocdsup_over $_ocdsup_l"
)
_BROKEN_OFF = frozenset({"6", "-600"})  # what `exit` returns: Jim's own, OpenOCD's


def guard_script(command: str) -> str:
    """The Tcl that runs `command` where `shutdown` and `exit` do not end OpenOCD, for `parse_guarded`.

    Raises ValueError when the command's braces do not balance, or it has a NUL or 0x1A.
    """
    return _GUARD % _balanced(command)


def parse_guarded(text: str) -> Guarded:
    """Read the result of `guard_script`. Raises ProtocolError when it is not one."""
    words = parse_list(text)
    if len(words) != 4:
        raise ProtocolError("read OpenOCD's Tcl answer", f"not a code, a result, an end and a log: {text[:60]!r}")
    code, result, over, log = words
    ended = over.split() or (["exit"] if code in _BROKEN_OFF else [])
    return Guarded(bool(ended) or code == "0", result, log, (1 if ended[1:2] == ["error"] else 0) if ended else None)


def wrap(command: str) -> bytes:
    """The framed request for `parse_reply`. Raises ValueError when the command's braces do not balance or it has a 0x1A."""
    return wrap_script(command).encode() + END


def _balanced(command: str) -> str:
    if "\0" in command or "\x1a" in command:
        raise ValueError("a Tcl command cannot carry NUL or 0x1A")
    try:
        _, end = _braced("{" + command + "}", 0)
    except ProtocolError:
        end = -1
    if end != len(command) + 2:
        raise ValueError(f"unbalanced braces in Tcl command: {command[:60]!r}")
    return command


def parse_reply(frame: bytes) -> Reply:
    """Read the answer to a wrapped command, with or without its 0x1A. Raises ProtocolError when it is not one."""
    text = frame.removesuffix(END).decode("utf-8", "replace")
    words = parse_list(text)
    if len(words) != 2 or not words[0].isdigit():
        raise ProtocolError("read OpenOCD's Tcl answer", f"not a code and a result: {text[:60]!r}")
    return Reply(words[0] == "0", words[1])


@dataclass(frozen=True, slots=True)
class Notification:
    """A frame that nobody asked for: kind `target_event`, `target_state`, `target_reset` or `target_trace`, and its value."""

    kind: str
    value: str


_NOTIFICATION = re.compile(rb"type (target_event|target_state|target_reset|target_trace) (?:\w+ )?([^\r\n]*)\r?\n?")


def parse_notification(frame: bytes) -> Notification | None:
    """Tell a notification (`tcl_notifications on`, 0.9+) from an answer; None for an answer."""
    found = _NOTIFICATION.fullmatch(frame.removesuffix(END))
    return Notification(found[1].decode(), found[2].decode("ascii", "replace")) if found else None


class Unframer:
    """Splits the stream of a Tcl connection at 0x1A into answers and notifications; memory is bounded by LONGEST."""

    def __init__(self, longest: int = LONGEST) -> None:
        self._rest = bytearray()
        self._longest = longest

    def feed(self, data: bytes) -> list[bytes | Notification]:
        """Take the next bytes; return what they completed. Raises ProtocolError for an answer longer than allowed."""
        *frames, rest = (bytes(self._rest) + data).split(END)
        self._rest = bytearray(rest)
        if len(rest) > self._longest or any(len(frame) > self._longest for frame in frames):
            self._rest.clear()
            raise ProtocolError("read OpenOCD's Tcl answer", f"longer than {self._longest} bytes", "restart the backend")
        return [parse_notification(frame) or frame for frame in frames]
