"""What a host did to a probe: counts of commands and a short list of the events that matter."""

from __future__ import annotations

from collections import Counter, deque
from dataclasses import dataclass, field


@dataclass(slots=True)
class Journal:
    """Counts everything; keeps the last 1000 events with their time in seconds since the start."""

    started: float
    counts: Counter[str] = field(default_factory=Counter)
    events: deque[tuple[float, str]] = field(default_factory=lambda: deque(maxlen=1000))

    def count(self, what: str) -> None:
        """Count something that happens too often to be listed."""
        self.counts[what] += 1

    def note(self, now: float, what: str) -> None:
        """Count and list an event."""
        self.counts[what] += 1
        self.events.append((round(now - self.started, 4), what))

    def as_json(self) -> dict[str, object]:
        """Return counts and events for the control socket."""
        return {"counts": dict(self.counts), "events": [{"t": at, "event": what} for at, what in self.events]}

    def clear(self) -> None:
        """Forget everything."""
        self.counts.clear()
        self.events.clear()
