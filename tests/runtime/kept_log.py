"""A logger that keeps what it is told, for tests that claim that something was said."""

from __future__ import annotations

from typing import Any

Line = tuple[str, str, dict[str, Any]]


class KeptLog:
    """Takes the place of a bound structlog logger; `lines` are level, event and fields, oldest first."""

    def __init__(self, lines: list[Line] | None = None, **bound: Any) -> None:
        self.lines: list[Line] = [] if lines is None else lines
        self._bound = bound

    def bind(self, **fields: Any) -> KeptLog:
        """Return a logger that writes to the same place and adds these fields."""
        return KeptLog(self.lines, **self._bound, **fields)

    def info(self, event: str, **fields: Any) -> None:
        self.lines.append(("info", event, self._bound | fields))

    def warning(self, event: str, **fields: Any) -> None:
        self.lines.append(("warning", event, self._bound | fields))

    def error(self, event: str, **fields: Any) -> None:
        self.lines.append(("error", event, self._bound | fields))

    def named(self, event: str) -> list[dict[str, Any]]:
        """The fields of every line of that event."""
        return [fields for _, name, fields in self.lines if name == event]

    def failed(self, task: str, error: BaseException) -> None:
        """Report a failed task, as the daemon does."""
        self.error("task_failed", task=task, error=repr(error))
