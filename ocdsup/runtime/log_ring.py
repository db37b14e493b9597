"""The recent past of a bench, for `ocdsup logs`: OpenOCD's lines and the supervisor's decisions, bounded."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from ocdsup.runtime import clock

KEPT = 2000  # lines
Entry = dict[str, Any]


class LogRing:
    """The last lines of one bench, and whoever follows them."""

    def __init__(self, bench: str) -> None:
        self.bench = bench
        self._lines: deque[tuple[float, str, str]] = deque(maxlen=KEPT)
        self._followers: list[Callable[[Entry], None]] = []

    def add(self, source: str, text: str) -> None:
        """Keep one line; `source` is `openocd` or `ocdsup`."""
        line = (clock.read().wall, source, text)
        self._lines.append(line)
        if self._followers:
            entry = self._entry(line)
            for follower in tuple(self._followers):
                follower(entry)

    def last(self, count: int) -> list[Entry]:
        """The newest `count` lines, oldest first."""
        lines = list(self._lines)
        return [self._entry(line) for line in lines[max(0, len(lines) - count) :]]

    def follow(self, follower: Callable[[Entry], None]) -> Callable[[], None]:
        """Call `follower` for every further line; returns what ends that."""
        self._followers.append(follower)

        def end() -> None:
            self._followers.remove(follower)

        return end

    def _entry(self, line: tuple[float, str, str]) -> Entry:
        at, source, text = line
        date = datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds")
        return {"at": date, "bench": self.bench, "source": source, "text": text}


class Journal:
    """A logger whose lines, the decisions about a bench, are also among the bench's recent ones."""

    def __init__(self, log: Any, ring: LogRing) -> None:
        self._log = log
        self._ring = ring

    def __getattr__(self, level: str) -> Callable[..., None]:
        """`info`, `warning` and so on, as the logger has them."""
        write = getattr(self._log, level)

        def both(event: str, **fields: object) -> None:
            write(event, **fields)
            self._ring.add("ocdsup", " ".join([event, *(f"{name}={value}" for name, value in fields.items())]))

        return both
