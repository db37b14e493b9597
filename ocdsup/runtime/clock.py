"""The two clocks: one for intervals, one for the dates that people read."""

from __future__ import annotations

import time

from ocdsup.core.status import Clock


def read() -> Clock:
    """Both clocks at this instant. CLOCK_MONOTONIC is the clock that asyncio timers use too."""
    return Clock(time.monotonic(), time.time())  # noqa: TID251  # the one place where wall time enters, for dates in reports
