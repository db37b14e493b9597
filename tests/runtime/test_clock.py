"""The two clocks."""

import asyncio
import datetime

from ocdsup.runtime import clock


async def test_intervals_are_read_on_the_clock_of_the_loop() -> None:
    """A deadline of the core is a time of the event loop."""
    loop = asyncio.get_running_loop()
    before, now, after = loop.time(), clock.read(), loop.time()
    assert before <= now.now <= after


def test_dates_are_read_on_the_clock_of_people() -> None:
    """Seconds since 1970, UTC."""
    before = datetime.datetime.now(datetime.UTC).timestamp()
    now = clock.read().wall
    assert before <= now <= datetime.datetime.now(datetime.UTC).timestamp()
