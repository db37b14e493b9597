"""Structured logs: readable on a terminal, one JSON object a line under systemd and in pipes.

Event names are constants; whatever OpenOCD, a board or a client wrote stands in a field, where both renderers escape it.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import MutableMapping
from typing import IO, Any

import structlog

# syslog(3) priorities as journald reads them at the start of a line (sd-daemon(3)).
_PRIORITY = {"debug": 7, "info": 6, "warning": 4, "error": 3, "critical": 2}


class _Sink:
    """A stream that never raises: a full disk must not end the daemon. Lost lines are counted and told later."""

    def __init__(self, stream: IO[str]) -> None:
        self._stream = stream
        self._lost = 0

    def msg(self, line: str) -> None:
        """Write one line."""
        try:
            if self._lost:
                self._stream.write(f"{json.dumps({'event': 'log_lines_lost', 'count': self._lost})}\n")
            self._stream.write(line + "\n")
            self._stream.flush()
        except (OSError, ValueError):
            self._lost += 1
        else:
            self._lost = 0

    debug = info = warning = error = critical = exception = log = msg


def _priority(_logger: Any, method: str, event: MutableMapping[str, Any]) -> str:
    line = json.dumps(event, default=str, ensure_ascii=True)
    return f"<{_PRIORITY.get(method, 6)}>{line}"


def _json(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> str:
    return json.dumps(event, default=str, ensure_ascii=True)


def set_up(*, stream: IO[str] | None = None, level: str = "info") -> Any:
    """Configure structlog for this process and return its root logger. Logs go to stderr: stdout is for results."""
    out = stream if stream is not None else sys.stderr
    processors: list[Any] = [structlog.stdlib.add_log_level, structlog.processors.TimeStamper(fmt="iso", utc=True)]
    if "JOURNAL_STREAM" in os.environ and not out.isatty():
        processors.append(_priority)
    elif out.isatty():
        colours = "NO_COLOR" not in os.environ
        # escaped like JSON: a board's text must neither move the cursor nor begin a line of its own
        processors.append(_escape)
        processors.append(structlog.dev.ConsoleRenderer(colors=colours, sort_keys=False))
    else:
        processors.append(_json)
    structlog.configure(
        processors=processors,
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=lambda *_args: _Sink(out),
        cache_logger_on_first_use=True,
    )
    return structlog.get_logger()


def _escape(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    for key, value in event.items():
        if isinstance(value, str) and not value.isprintable():
            event[key] = value.encode("unicode_escape").decode("ascii")
    return event
