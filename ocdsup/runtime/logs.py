"""Structured logs: readable on a terminal, one JSON object a line under systemd and in pipes.

Event names are constants; whatever OpenOCD, a board or a client wrote stands in a field, where both renderers escape it.
"""

from __future__ import annotations

import json
import logging
import os
import sys
from collections.abc import MutableMapping
from contextlib import suppress
from typing import IO, Any

import structlog

# syslog(3) priorities as journald reads them at the start of a line (sd-daemon(3)).
_PRIORITY = {"debug": 7, "info": 6, "warning": 4, "error": 3, "critical": 2}
LONGEST = 4000  # characters of a field: a target can print a line of a megabyte
_BARE = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.:/+@%,")


class _Sink:
    """A stream that never raises: a full disk must not end the daemon. Lost lines are counted and told later.

    It writes below the stream's buffers where it can: they would keep what failed and write it again, in the middle of others.
    """

    def __init__(self, stream: IO[str]) -> None:
        self._stream = stream
        self._raw = getattr(getattr(stream, "buffer", None), "raw", None)
        with suppress(OSError, ValueError):
            stream.flush()
        self._lost = 0
        self._torn = False

    def msg(self, line: str) -> None:
        """Write one line."""
        told = f"{json.dumps({'event': 'log_lines_lost', 'level': 'warning', 'count': self._lost})}\n" if self._lost else ""
        torn = "\n" if self._torn else ""
        try:
            self._write(f"{torn}{told}{line}\n")
        except (OSError, ValueError):
            self._lost += 1
        else:
            self._lost = 0
            self._torn = False

    def _write(self, text: str) -> None:
        if self._raw is None:
            self._stream.write(text)
            self._stream.flush()
            return
        data = text.encode("utf-8", "backslashreplace")
        while data:
            written = self._raw.write(data)
            if not written:
                raise BlockingIOError("the reader of the log does not keep up")
            data = data[written:]
            self._torn = bool(data)

    debug = info = warning = error = critical = log = msg


def _capped(value: Any) -> Any:
    match value:
        case str() if len(value) > LONGEST:
            return f"{value[:LONGEST]}… ({len(value)} characters)"
        case list() | tuple():
            return [_capped(part) for part in value]
        case _:
            return value


def _cap(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    for key, value in event.items():
        event[key] = _capped(value)
    return event


def _json(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> str:
    try:
        return json.dumps(event, default=str, ensure_ascii=True, allow_nan=False)
    except (TypeError, ValueError):  # an infinite number, a key that is no text, a circle
        return json.dumps({str(key): str(value) for key, value in event.items()}, ensure_ascii=True)


def _priority(logger: Any, method: str, event: MutableMapping[str, Any]) -> str:
    return f"<{_PRIORITY.get(method, 6)}>{_json(logger, method, event)}"


class _Shown:
    """Text that the renderer prints as it is."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def __repr__(self) -> str:
        return self._text


def _harmless(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """On a terminal a board's text must neither move the cursor, nor begin a line, nor look like further fields."""
    for key, value in event.items():
        match key:
            case "event" | "level" | "timestamp":
                event[key] = _printable(str(value))
            case "exception" | "stack":
                event[key] = "\n".join(f"  | {_printable(line)}" for line in str(value).split("\n"))
            case _:
                event[key] = _Shown(_printable(_quoted(value) if isinstance(value, str) else repr(value)))
    return event


def _quoted(text: str) -> str:
    return text if text and _BARE.issuperset(text) else json.dumps(text, ensure_ascii=False)


def _printable(text: str) -> str:
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text)


def _is_journal(stream: IO[str]) -> bool:
    """Whether the stream itself is the journal: the variable is inherited, also by those whose output goes elsewhere."""
    try:
        status = os.fstat(stream.fileno())
    except (OSError, ValueError):
        return False
    return os.environ.get("JOURNAL_STREAM") == f"{status.st_dev}:{status.st_ino}"  # systemd.exec(5)


def set_up(*, stream: IO[str] | None = None, level: str = "info") -> Any:
    """Configure structlog for this process and return its root logger. Logs go to stderr: stdout is for results."""
    out = stream if stream is not None else sys.stderr
    processors: list[Any] = [
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
        _cap,
    ]
    if out.isatty():
        colours = not os.environ.get("NO_COLOR")  # no-color.org: an empty value does not count
        processors += [_harmless, structlog.dev.ConsoleRenderer(colors=colours, sort_keys=False)]
    else:
        processors.append(_priority if _is_journal(out) else _json)
    sink = _Sink(out)
    structlog.configure(
        processors=processors,
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level.upper()]),
        logger_factory=lambda *_args: sink,
        cache_logger_on_first_use=True,
    )
    return structlog.get_logger()
