"""Durations as people say them."""

from __future__ import annotations

# From this many seconds on: the unit, and the smaller one that is told beside it.
_UNITS = ((86400, "d", 3600, "h"), (3600, "h", 60, "min"), (60, "min", 1, "s"))


def span(seconds: float) -> str:
    """Return a duration as people say it: 3.2 s, 4 min 10 s, 2 h 5 min, 3 d 1 h."""
    whole = int(seconds)
    for size, unit, below, smaller in _UNITS:
        if whole >= size:
            rest = whole % size // below
            return f"{whole // size} {unit}" + (f" {rest} {smaller}" if rest else "")
    return f"{round(seconds, 1):g} s"
